"""What a reader meets, tried as a reader meets it: JupyterLab and the pages of the documentation in a browser, the
solutions of the exercises in a kernel.

    python3 dev.py front                              # all of it, some minutes
    python3 dev.py front -k "first_stream or site"    # some
    python3 dev.py front --shots shots                # and a screenshot of each page that was looked at

Not under `tests`, because it needs Chromium and takes minutes.
"""
