"""What the tests of jobs share: what a job says, heard by a thread, without any process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamkit.jobs.messages import Message, MessageParser
from streamkit.jobs.report import Report

WAIT_S = 10.0


class Heard:
    """A report, and all that it says until it is closed."""

    def __init__(self) -> None:
        ours, self._theirs = socket.socketpair()
        self.report = Report(self._theirs)
        self._ours = ours
        self._messages: list[Message] = []
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def _hear(self) -> None:
        parser = MessageParser()
        with self._ours:
            while data := self._ours.recv(1 << 16):
                self._messages += parser.feed(data)

    def messages(self) -> list[Message]:
        """All of them; nothing can be said any more."""
        self.report.close()
        self._theirs.close()
        self._thread.join(WAIT_S)
        return self._messages


def heard(function: Callable[..., Any], **arguments: Any) -> list[Message]:
    """All that a job says when it runs here, and how it ends."""
    hearing = Heard()
    try:
        hearing.report.returned(function(hearing.report, **arguments))
    except Exception as error:  # noqa: BLE001  # as `work` does
        hearing.report.raised(error)
    return hearing.messages()


def of_kind(messages: list[Message], kind: str) -> list[dict[str, Any]]:
    return [message.data for message in messages if message.kind == kind]


@contextmanager
def nobody_listens() -> Iterator[Report]:
    """A report whose other end is closed."""
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        report = Report(theirs)
        yield report
        report.close()


def is_alive(pid: int) -> bool:
    """It is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
