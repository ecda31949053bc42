"""Peers measured beside us, in one run. `python benchmarks/parser.py` prints the parser's table."""
