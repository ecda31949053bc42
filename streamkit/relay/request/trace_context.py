"""W3C Trace Context: whose trace a request is part of, to be passed on with the question and logged.

    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
    tracestate: vendor=opaque,other=1

The relay keeps no spans, so it is a mere station on the way: what it is given it passes on as it stands, and where it
is given nothing it invents nothing. What does not follow the grammar is dropped, as if it had not been sent.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Final, NamedTuple, Self

from streamkit.relay.request.pages import Heads

__all__ = ["TraceContext"]

PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
"""W3C Trace Context section 3.2.2; what stands behind the flags is of later versions."""
MAX_PARENT: Final = 512  # characters
SAMPLED: Final = 0x01
"""The one flag of version 00 (level 1)."""
MEMBER: Final = re.compile(
    r"(?P<key>[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
"""Section 3.3.1.3."""
MAX_MEMBERS: Final = 32
MAX_STATE: Final = 512
"""Characters of tracestate: as many as have to be passed on; of a longer one whole members are left out."""
LARGE: Final = 128
"""Members that are longer are left out first (section 3.3.1.5)."""


class TraceContext(NamedTuple):
    """What of it is passed on; `state` is "" where there is none.

    TraceContext.of(request.headers)    # None: there is none, or none that can be read
    """

    trace_id: str
    parent: str
    state: str = ""

    @classmethod
    def of(cls, headers: Heads) -> Self | None:
        """As a request says it."""
        said = headers.getall("traceparent", [])
        if len(said) != 1 or len(said[0]) > MAX_PARENT or (found := PARENT.fullmatch(said[0])) is None:
            return None
        version, trace_id, parent_id, flags = found.groups()
        if version == "ff" or not int(trace_id, 16) or not int(parent_id, 16):
            return None
        parent = said[0]
        if version == "00":
            if len(parent) != len("00-") + 32 + 1 + 16 + 1 + 2:
                return None
        else:  # a later version, of which we pass on what we know: section 3.2.1
            parent = f"00-{trace_id}-{parent_id}-{int(flags, 16) & SAMPLED:02x}"
        return cls(trace_id, parent, _state(headers.getall("tracestate", [])))

    def headers(self) -> dict[str, str]:
        """The fields of a request that carries it on."""
        state = {"tracestate": self.state} if self.state else {}
        return {"traceparent": self.parent, **state}


def _state(said: list[str]) -> str:
    """Several fields are one list; a list that breaks the grammar says nothing."""
    members = [member for each in chain(*(one.split(",") for one in said)) if (member := each.strip(" \t"))]
    keys = {found["key"] for member in members if (found := MEMBER.fullmatch(member))}
    if len(keys) != len(members) or len(members) > MAX_MEMBERS:
        return ""
    if len(",".join(members)) > MAX_STATE:
        members = [member for member in members if len(member) <= LARGE]
    while len(",".join(members)) > MAX_STATE:
        members.pop()
    return ",".join(members)
