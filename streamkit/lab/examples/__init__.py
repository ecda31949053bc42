"""Recordings of a few well-known situations, as small files: every figure can be tried without a server.

    sk.examples.names()
    recording = sk.examples.load("gzip-proxy")
    sk.plots.timeline(recording)
    sk.examples.describe("gzip-proxy")  # what was done, with which versions, what to look at, which figures

    catalogue.py: what there is, in words ──▶ shelf.py: a name ──▶ its file in data/ ──▶ what it is a file of

They were recorded, not made up: `python -m campaigns.examples` makes all of them anew. Addresses were taken out.
"""

from __future__ import annotations

from streamkit.lab.examples.catalogue import Example, Examples, describe, names
from streamkit.lab.examples.shelf import load, recordings

__all__ = ["Example", "Examples", "describe", "load", "names", "recordings"]


def __dir__() -> list[str]:
    return sorted(__all__)
