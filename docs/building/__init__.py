"""What the site is made of beside its pages: `conf.py` calls these, and `python3 dev.py docs` calls Sphinx.

plain      docstrings, which are written to be read in a terminal, as reStructuredText
api        a page for each room of the house, with its public names
links      files of the repository as pages: where each is on the site
notebooks  those of notebooks/ as pages, and a card for each
checks     what Sphinx does not look at: alt text, and whether every public name is there
"""
