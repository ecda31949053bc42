"""Recordings out of files, whichever kind these are; and, as `example:NAME`, those that ship with streamkit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streamkit.cli.output import note
from streamkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.sets import RecordingSet

__all__ = ["EXAMPLE", "load_all", "load_one", "load_sets"]

EXAMPLE: Final = "example:"


def load_sets(paths: Iterable[Path]) -> list[RecordingSet]:
    """A set of each of these files: of one recording, of a set, or (`.har`) HAR; what is damaged is said on stderr.
    `example:NAME` is an example that ships.

    Raises RecordingFormatError for a file that is none of these, OSError for one that cannot be read, ConfigError for
    an example that there is not.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        sets = [_load(path) for path in paths]
    for warning in told:  # what is damaged is taken as far as it is whole
        note(f"streamkit: {warning.message}")
    return sets


def load_all(paths: Iterable[Path]) -> list[Recording]:
    """The recordings of all these files."""
    return [recording for each in load_sets(paths) for recording in each]


def load_one(path: Path) -> Recording:
    """The same of a file of one. Raises ConfigError where it holds several."""
    recordings = load_all([path])
    if len(recordings) != 1:
        raise ConfigError(f"expected one recording in {path.name}, got {len(recordings)}")
    return recordings[0]


def _load(path: Path) -> RecordingSet:
    from streamkit.lab.sets import RecordingSet

    if str(path).startswith(EXAMPLE):
        return _example(str(path).removeprefix(EXAMPLE))
    if path.suffix.lower() == ".har":
        from streamkit.lab.exports import har

        return RecordingSet(har.read(path))
    return RecordingSet.load(path)


def _example(name: str) -> RecordingSet:
    from streamkit.lab import examples

    try:
        return examples.recordings(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
