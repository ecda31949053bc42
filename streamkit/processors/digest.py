"""The SHA-256 digest of what arrives, and of each part of a form."""

from __future__ import annotations

import hashlib
from typing import Any

__all__ = ["Digest"]


class _Sum:
    """SHA-256 (FIPS 180-4) of some bytes, and how many they are."""

    __slots__ = ("_hash", "bytes")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.bytes = 0

    def feed(self, data: bytes) -> None:
        self._hash.update(data)
        self.bytes += len(data)

    def shown(self) -> dict[str, Any]:
        """As JSON; it goes on."""
        return {"sha256": self._hash.hexdigest(), "bytes": self.bytes}


class Digest:
    """The digest (`sha256`, hexadecimal) and size (`bytes`) of everything, and of each part of a form under `parts`.

    For a form, "everything" is the contents of its parts, one after the other: so a file has the same digest whether it
    was sent as it is or as the only part of a form.

    >>> from streamkit.processors.digest import Digest
    >>> digest = Digest()
    >>> digest.feed(b"abc")
    >>> digest.final()
    {'sha256': 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
     'bytes': 3, 'parts': [], 'final': True}
    """

    def __init__(self) -> None:
        self._all = _Sum()
        self._parts: list[tuple[dict[str, Any], _Sum]] = []

    def begin_part(self, name: str, filename: str | None) -> None:
        """Begin another part of a form."""
        self._parts.append(({"name": name, "filename": filename}, _Sum()))

    def feed(self, data: bytes) -> None:
        """Take more bytes: of the latest part, or of a body that is not a form."""
        self._all.feed(data)
        if self._parts:
            self._parts[-1][1].feed(data)

    def snapshot(self) -> dict[str, Any]:
        """`{"sha256": …, "bytes": …, "parts": [{"name": …, "filename": …, "sha256": …, "bytes": …}, …]}`."""
        return {**self._all.shown(), "parts": [{**named, **each.shown()} for named, each in self._parts]}

    def final(self) -> dict[str, Any]:
        """The same for everything, with `"final": True`."""
        return {**self.snapshot(), "final": True}
