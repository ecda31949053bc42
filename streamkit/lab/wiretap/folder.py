"""A folder of recordings, a file each: the newest, in bounds."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from streamkit.lab.recording.recording import Recording

__all__ = ["Folder"]


class Folder:
    """Saves each recording as a file of its own, whole or not at all, under when it began and the how manieth it is.

    Of the files that it has written itself there are `max_files` at most, and about `max_bytes` in all: the oldest make
    room. What else is in the folder is left alone. Raises OSError where there can be no such folder.

        Folder("streams", max_files=1000, max_bytes=256 << 20).save(recording)
    """

    def __init__(self, path: str | os.PathLike[str], *, max_files: int, max_bytes: int) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._files: deque[tuple[Path, int]] = deque()
        self._bytes = 0
        self._number = 0

    def save(self, recording: Recording) -> Path:
        """Write it, and make room. Raises OSError."""
        self._number += 1
        began = str(recording.meta["started_at"])[:19].replace("-", "").replace(":", "")
        path = self.path / f"{began}-{self._number:06d}.jsonl"
        recording.save(path)
        size = path.stat().st_size
        self._files.append((path, size))
        self._bytes += size
        while len(self._files) > self._max_files or (self._bytes > self._max_bytes and len(self._files) > 1):
            oldest, takes = self._files.popleft()
            self._bytes -= takes
            with suppress(FileNotFoundError):
                oldest.unlink()
        return path
