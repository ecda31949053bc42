"""What several workers count, told to each other by files in a folder of theirs, so that any of them can tell of all.

file                what it is                                                       written
<name>.json         what one worker has counted, and what it holds                   once a second, where it is new
<name>.alive        locked as long as that worker lives (flock), however it ends     when it begins
gone.json           the sums of those that have ended, and the names of these        by whoever reads, before it removes
                                                                                     what they have left
lock                held by whoever reads, as two must not sum up the same           –

A worker that was killed has told all but its last second. Nothing here grows with the number of workers that have been.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import orjson

from streamkit.errors import ConfigError
from streamkit.relay.counting.counts import State, added

__all__ = ["SharedCounts"]

TELL_S: Final = 1.0
"""How old what one worker tells of another may be."""


class SharedCounts:
    """One worker's part in the folder. Raises ConfigError for a folder that cannot be written to."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"expected a folder for the workers' metrics, got {folder!r}: {error.strerror}") from None
        self._name = secrets.token_hex(8)
        self._alive: IO[bytes] | None = None
        self._teller: asyncio.Task[None] | None = None
        self._told = b""

    def open(self, state: Callable[[], State]) -> None:
        """Begin to tell what `state` gives."""
        self._alive = self._path("alive").open("wb")
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        self._tell(state())
        self._teller = asyncio.get_running_loop().create_task(self._keep_telling(state))

    async def close(self, state: State) -> None:
        """Tell for the last time."""
        if self._teller is not None:
            self._teller.cancel()
            await asyncio.wait([self._teller])
            self._teller = None
        self._tell(state)
        if self._alive is not None:
            self._alive.close()
            self._alive = None

    async def _keep_telling(self, state: Callable[[], State]) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            with contextlib.suppress(OSError):  # the disk is full, perhaps: what was told stays, and it is tried again
                self._tell(state())

    def _tell(self, state: State) -> None:
        if (told := orjson.dumps(state)) != self._told:
            _write(self._path("json"), told)
            self._told = told

    def others(self) -> tuple[list[State], list[State]]:
        """The states of the other workers that run, and of those that have ended, summed up."""
        with _locked(self._folder / "lock"):
            gone = _read(self._folder / "gone.json")
            running = []
            left = []
            for path in sorted(self._folder.glob("*.alive")):
                if path.stem == self._name:
                    continue
                if _is_locked(path):
                    running += [state] if (state := _read(path.with_suffix(".json"))) else []
                else:
                    left.append(path)
            if left:
                gone = self._sum_up(gone, left)
            return running, [gone["total"]] if gone else []

    def _sum_up(self, gone: dict[str, Any], left: list[Path]) -> dict[str, Any]:
        """Once: who is in the sums by name, and is still there, was not removed in time."""
        known = gone.get("names", [])
        fresh = [state for path in left if path.stem not in known and (state := _read(path.with_suffix(".json")))]
        before = [gone["total"]] if gone else []
        gone = {"names": [path.stem for path in left], "total": added([*before, *fresh])}
        _write(self._folder / "gone.json", orjson.dumps(gone))
        for path in left:
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink()
        return gone

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self._name}.{kind}"


def _write(path: Path, data: bytes) -> None:
    """All of it or nothing, whoever reads meanwhile."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
