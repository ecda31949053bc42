"""Live views in a notebook: figures that are redrawn while a stream goes on, and `%load_ext streamkit`.

The way of the data: what a client, a load or a sweep has so far → a figure of `plots` → one display, updated in place.
Nothing is measured here, and nothing here keeps a stream waiting.
"""

from __future__ import annotations
