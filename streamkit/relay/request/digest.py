"""What a client says that its body's digest is (RFC 9530), and whether it is. Bytes in, a verdict out; no I/O.

    digests = Digests.of(["sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"])
    digests.update(part)             # for each part of the body
    digests.check()                  # raises Failed where they do not agree

A request's Content-Digest and its Repr-Digest are of the same bytes here: a body that is coded is refused, and one that
is part of a representation is nothing that a relay is sent. Digests in a trailer section are not read: trailers are
refused (`streamkit.relay.request.head`), and an app of somebody else's has Sanic refuse them.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from streamkit.relay.failure import Failed

__all__ = ["Digests"]

ALGORITHMS: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
"""Those of RFC 9530 section 5 that are not deprecated. Others are ignored, as its section 2 has it."""
MAX_FIELD_CHARS: Final = 4_096
MEMBER: Final = re.compile(
    r"[ \t]*(?P<name>[a-z*][a-z0-9_.*-]*)=:(?P<value>[A-Za-z0-9+/=]*):"
    r'(?:;[ ]*[a-z*][a-z0-9_.*-]*(?:=(?:[A-Za-z0-9*?:/+._-]+|"[^"\\]*"))?)*'
    r"[ \t]*(?:,|$)"
)
"""One member of a dictionary of byte sequences (RFC 9651 section 3.2), with any parameters."""


class _Claim(NamedTuple):
    """One digest that was sent."""

    name: str
    computed: Any  # hashlib's object
    claimed: bytes


class Digests:
    """The digests that a request claims, computed as its body passes."""

    __slots__ = ("_claims",)

    def __init__(self, claims: Sequence[_Claim] = ()) -> None:
        self._claims = claims

    @classmethod
    def of(cls, fields: Sequence[str]) -> Digests:
        """Out of all fields called Content-Digest and Repr-Digest.

        Raises Failed with status 400, `bad_digest`, for a field that cannot be read: who sends one counts on it.
        """
        claimed = {pair for field in fields for pair in _members(field)}
        return cls([_Claim(name, ALGORITHMS[name](), value) for name, value in sorted(claimed) if name in ALGORITHMS])

    def __bool__(self) -> bool:
        return bool(self._claims)

    def update(self, data: bytes) -> None:
        """The next part of the body."""
        for claim in self._claims:
            claim.computed.update(data)

    def check(self) -> None:
        """The body was whole. Raises Failed with status 400, `digest_mismatch`."""
        for claim in self._claims:
            if claim.computed.digest() != claim.claimed:
                raise Failed.of_request(
                    400, "digest_mismatch", f"the body that came has another {claim.name} digest than was sent with it"
                )


def _members(field: str) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at < len(field):
        found = MEMBER.match(field, at) if len(field) <= MAX_FIELD_CHARS else None
        if found is None:
            raise _bad()
        yield found["name"], _value(found["name"], found["value"])
        at = found.end()
    if not at or field.rstrip(" \t").endswith(","):
        raise _bad()


def _value(name: str, text: str) -> bytes:
    try:
        value = b64decode(text, validate=True)
    except binascii.Error:
        raise _bad() from None
    if name in ALGORITHMS and len(value) != ALGORITHMS[name]().digest_size:
        raise _bad()
    return value


def _bad() -> Failed:
    return Failed.of_request(400, "bad_digest", "send digests as sha-256=:BASE64: (RFC 9530 section 2)")
