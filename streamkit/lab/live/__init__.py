"""In a notebook, while it happens: figures that are drawn again as a stream goes on, and `%load_ext streamkit`.

The way of the data: what a client, a load or a sweep has so far → a figure of `plots` → one display that is updated in
place. Nothing is measured here, and nothing here keeps a stream waiting.
"""

from __future__ import annotations
