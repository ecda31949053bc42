"""One of several clients of a load: `python -m streamkit.lab.load.child`, started by its parent only (`several.py`).

Three messages come at stdin: where modules are, the order, and when the load begins. When stdin ends the parent is
gone, and so is this process.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from streamkit.lab.sets import RecordingSet

__all__ = ["main"]


def main() -> int:
    """Do what the order says, telling how far it is; the exit status is 0."""
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints here must not stand among the messages
    sys.path[:] = _message()
    order = _message()
    from streamkit.lab.load import kept, running  # noqa: F401  # all imports are over before it is ready
    from streamkit.lab.load.several import READY, packed

    gc.collect()
    gc.freeze()  # a full collection looks at all that was imported: 30 ms in which no stream is read
    told.write(packed(READY))
    told.flush()
    begun_ns = _message()
    threading.Thread(target=_end_with_parent, name="streamkit parent watch", daemon=True).start()
    told.write(packed(_loaded(order, begun_ns, told)))
    told.flush()
    return 0


def _loaded(order: Any, begun_ns: int, told: BinaryIO) -> RecordingSet | BaseException:
    """The recordings, or what went wrong."""
    from streamkit.lab.load.kept import last_load
    from streamkit.lab.load.running import run_share
    from streamkit.lab.load.several import packed

    def show(ended: int, live: int, late_ns: int) -> None:
        told.write(packed((ended, live, late_ns)))
        told.flush()

    try:
        with asyncio.Runner() as runner:
            return runner.run(run_share(order, begun_ns, show))
    except BaseException as error:  # noqa: BLE001  # whatever it is, the parent wants to know
        kept = last_load(of=error)
        return kept if isinstance(error, KeyboardInterrupt) and kept is not None else error


def _message() -> Any:
    from streamkit.lab.load.several import LENGTH

    return pickle.loads(_read(LENGTH.unpack(_read(LENGTH.size))[0]))  # noqa: S301  # from our parent


def _read(size: int) -> bytes:
    """Exactly so many bytes, or SystemExit when the parent is gone.

    Unbuffered: an interpreter that ends while a thread reads a buffered stream dies of that stream's lock.
    """
    found = b""
    while len(found) < size:
        part = os.read(0, size - len(found))
        if not part:
            raise SystemExit(1)
        found += part
    return found


def _end_with_parent() -> None:
    while os.read(0, 1024):
        """Nothing more is said: only its end is waited for."""
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
