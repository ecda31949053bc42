"""Recordings out of files, whichever kind these are."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from streamkit.errors import ConfigError, RecordingFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamkit.lab.recording.recording import Recording

__all__ = ["load_all", "load_one"]


def load_all(paths: Iterable[Path]) -> list[Recording]:
    """The recordings of these files: of one recording, of a set, or (`.har`) HAR; what is damaged is said on stderr.

    Raises RecordingFormatError for a file that is none of these, OSError for one that cannot be read.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        recordings = [recording for path in paths for recording in _load(path)]
    for warning in told:  # what is damaged is taken as far as it is whole
        print(f"streamkit: {warning.message}", file=sys.stderr)
    return recordings


def load_one(path: Path) -> Recording:
    """The same of a file of one. Raises ConfigError where it holds several."""
    recordings = load_all([path])
    if len(recordings) != 1:
        raise ConfigError(f"expected one recording in {path.name}, got {len(recordings)}")
    return recordings[0]


def _load(path: Path) -> Iterable[Recording]:
    if path.suffix.lower() == ".har":
        from streamkit.lab.exports import har

        return har.read(path)
    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.sets import RecordingSet

    try:
        return [Recording.load(path)]
    except RecordingFormatError as error:
        try:
            return RecordingSet.load(path)
        except RecordingFormatError:
            raise error from None
