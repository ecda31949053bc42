"""One of several clients of a load: `python -m streamkit.lab.load.child`, started by its parent only (`several.py`).

Three messages come at stdin: where modules are, the order, and when the load begins. When stdin ends the parent is
gone, and so is this process.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
import threading
from typing import Any

__all__ = ["main"]


def main() -> int:
    """Do what the order says, telling how far it is; the exit status is 0."""
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints here must not stand among the messages
    sys.path[:] = _message()
    order = _message()
    from streamkit.lab.load.running import run_share  # here, as are all imports: before it says that it is ready
    from streamkit.lab.load.several import READY, packed

    def tell(message: object) -> None:
        told.write(packed(message))
        told.flush()

    gc.collect()
    gc.freeze()  # a full collection looks at all that was imported: 30 ms in which no stream is read
    tell(READY)
    begun_ns = _message()
    threading.Thread(target=_end_with_parent, name="streamkit parent watch", daemon=True).start()
    tell(run_share(order, begun_ns, lambda *counts: tell(counts)))
    return 0


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
