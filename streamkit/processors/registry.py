"""The processors there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from streamkit.processors.digest import Digest
from streamkit.processors.lines import LineCounts
from streamkit.processors.processor import Processor, Unprocessable
from streamkit.processors.table import Csv

__all__ = ["PROCESSORS", "Processors", "processor_named"]

Processors: TypeAlias = Mapping[str, Callable[[], Processor]]
"""What makes a processor, by its name."""

PROCESSORS: Final[Processors] = MappingProxyType({"csv": Csv, "digest": Digest, "lines": LineCounts})


def processor_named(name: str, processors: Processors = PROCESSORS) -> Processor:
    """A new one.

    >>> from streamkit.processors.registry import PROCESSORS, processor_named
    >>> processor_named("lines").final()["lines"]
    0
    >>> own = {**PROCESSORS, "mine": PROCESSORS["digest"]}
    >>> processor_named("mine", own).final()["bytes"]
    0

    Raises Unprocessable, `unknown_process`, which says what there is.
    """
    if name not in processors:
        raise Unprocessable("unknown_process", f"send process= and one of {', '.join(sorted(processors))}")
    return processors[name]()
