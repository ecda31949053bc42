"""Recordings of well-known situations, which ship as small files: every figure can be tried on them without a server.

    sk.examples.names()
    recording = sk.examples.load("gzip-proxy")
    sk.plots.timeline(recording)
    sk.examples.describe("gzip-proxy")  # what was done, with which versions, what to look at, which figures

    catalogue.py: what there is, in words ──▶ shelf.py: a name ──▶ its file in data/ ──▶ a recording, a set, …

They were recorded, not made up; `python -m campaigns.examples` records all of them again. Addresses were removed.
"""

from __future__ import annotations

from streamkit.lab.examples.catalogue import Example, Examples, describe, names
from streamkit.lab.examples.shelf import load, recordings

__all__ = ["Example", "Examples", "describe", "load", "names", "recordings"]


def __dir__() -> list[str]:
    return sorted(__all__)
