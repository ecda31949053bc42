"""What processes of the tests run: they import it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import Any

from streamkit.jobs import JobCancelled, Report


def pid() -> int:
    return os.getpid()


def tell_and_stay(path: str) -> None:
    """Write its number to a file; then a loop in C, far too long."""
    with open(path + ".part", "w", encoding="utf-8") as file:  # noqa: PTH123  # imported by itself, quickly
        file.write(str(os.getpid()))
    os.rename(path + ".part", path)  # noqa: PTH104
    sum(range(10**12))


def end(code: int) -> None:
    os._exit(code)


class Odd(Exception):
    """One that cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("odd")
        self.odd = lambda: None


def fail(kind: str) -> None:
    raise ValueError("as asked") if kind == "plain" else Odd()


def starts_another(path: str) -> None:
    """A process of its own, which would go on for long."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        with open(path + ".part", "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(str(child.pid))
        os.rename(path + ".part", path)  # noqa: PTH104
        time.sleep(60)


def forks_and_dies(path: str) -> None:
    """What it has forked would go on for long, with all that it had open."""
    if (pid := os.fork()) == 0:
        time.sleep(60)
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(str(pid))
    os._exit(7)


# -- jobs -------------------------------------------------------------------------------------------------------------


def in_c(report: Report) -> None:
    """Tells its process, and then is deep within C."""
    report.result({"pid": os.getpid()})
    sum(range(10**12))


HOW_FAR: dict[str, int] = {}
"""For jobs in a thread of the test's own process, as are the events below."""


def results(report: Report, count: int, size: int = 0) -> dict[str, Any]:
    """So many results of a size in bytes."""
    for number in range(count):
        HOW_FAR["results"] = number
        report.progress(number, count)
        report.result({"number": number, "filling": "x" * size})
    return {"count": count}


def dies(report: Report) -> None:
    """Tells something, and is no more."""
    report.result({"pid": os.getpid()})
    os._exit(7)


def forks_and_dies_as_a_job(_: Report) -> None:
    """As `forks_and_dies` does."""
    if os.fork() == 0:
        time.sleep(60)
    os._exit(7)


def leaves(_: Report) -> None:
    """Ends its thread, or would."""
    sys.exit(3)


def goes_back(report: Report) -> None:
    """Tells progress that goes back."""
    report.progress(2)
    report.progress(1)


def garbles(report: Report) -> None:
    """Says what is no message."""
    report._connection.sendall(b"nonsense\n")
    time.sleep(0.05)


GO_ON = threading.Event()
WAITING = threading.Event()
CANCELLED = threading.Event()


def waits(report: Report) -> None:
    """Works on until it may go on, and then has a result."""
    WAITING.set()  # before it is heard of
    report.progress(1)
    GO_ON.wait(20)
    try:
        report.result({})
    except JobCancelled:
        CANCELLED.set()
        raise
