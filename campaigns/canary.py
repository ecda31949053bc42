"""A key that must not turn up anywhere: what it may look like, and a watch on every log record.

with canary_key(): ...          # UPSTREAM_API_KEY, for what starts in this block
leaks(b"…")                     # it is in there, in one of its forms
"""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

__all__ = ["CANARY", "LogWatch", "canary_key", "leaks"]

CANARY: Final = "sk-canary-4711/Vogel+x="
"""With characters that percent-encoding and JSON may change."""


def _forms(secret: str) -> list[bytes]:
    """As it may turn up: as it is, a telling part of it, percent-encoded, in hex, in base64 at any offset."""
    raw = secret.encode()
    everything = "".join(f"%{byte:02X}" for byte in raw)
    shifted = [base64.b64encode(b"\0" * pad + raw).rstrip(b"=")[(0, 2, 3)[pad] : -2] for pad in range(3)]
    urlsafe = [form.replace(b"+", b"-").replace(b"/", b"_") for form in shifted]
    words = [secret.partition("/")[0], quote(secret), quote(secret, safe=""), everything, everything.lower()]
    return [raw, *(word.encode() for word in words), raw.hex().encode(), *shifted, *urlsafe]


FORMS: Final = _forms(CANARY)


def leaks(data: bytes) -> bool:
    """The canary is in there, in one of its forms."""
    return any(form in data for form in FORMS)


@contextmanager
def canary_key() -> Iterator[None]:
    """Processes that start in this block have the canary as their upstream's key."""
    before = os.environ.get("UPSTREAM_API_KEY")
    os.environ["UPSTREAM_API_KEY"] = CANARY
    try:
        yield
    finally:
        if before is None:
            del os.environ["UPSTREAM_API_KEY"]
        else:
            os.environ["UPSTREAM_API_KEY"] = before


class LogWatch(logging.Handler):
    """Reads every record of the process: those of streams are kept, those that hold the canary are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.lines: list[dict[str, Any]] = []
        self.keeping = False
        self.leaked: list[str] = []
        self.alarms: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = self.format(record)
        if leaks(told.encode(errors="replace")):
            self.leaked.append(record.name)
        if record.levelno >= logging.ERROR:
            self.alarms.append(told[:2000])
        message = record.getMessage()
        if self.keeping and record.name == "streamkit.relay" and message.startswith("{"):
            self.lines.append(json.loads(message))

    def listen(self) -> None:
        """To all loggers that there are."""
        root = logging.getLogger()
        known = [logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
        for logger in (root, *known):
            logger.setLevel(logging.DEBUG)
            if (logger is root or not logger.propagate) and self not in logger.handlers:
                logger.addHandler(self)
