"""What a proxy says that went wrong: `Proxy-Status` (RFC 9209)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["INCREMENTAL_REFUSED", "proxy_error"]

INCREMENTAL_REFUSED: Final = "incremental_refused"
"""With status 501: a proxy that does not pass on what comes as it comes, asked for by `Incremental` (RFC 10036)."""

QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
ERROR: Final = re.compile(r";[ \t]*error=([a-z_][a-z0-9_]{0,63})(?=[ \t]*(?:[;,]|$))")


def proxy_error(value: str) -> str | None:
    """The type of the first error in the field's `value`, that of the proxy nearest to the upstream; None if none
    stands there (RFC 9209 section 2.1.1).

        >>> from streamkit.transport.proxy_status import proxy_error
        >>> proxy_error('cdn.example; error=incremental_refused; details="no; error=here"')
        'incremental_refused'
    """
    found = ERROR.search(QUOTED.sub('""', value))
    return found[1] if found else None
