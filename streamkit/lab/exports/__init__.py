"""Recordings for other tools: of a Recording, and of nothing else; a file a format.

    sk.exports.har.write(recording, "stream.har")          # Chrome DevTools, WebPageTest, waterfall viewers
    sk.exports.parquet.write(streams, "events.parquet")    # pandas, duckdb, polars (extra `parquet`)
    sk.exports.csv.write(streams, "reads.csv", rows="reads")
    sk.exports.trace.write(recording, "stream.json")       # ui.perfetto.dev, chrome://tracing
    sk.exports.summary.write(streams, "summary.json")      # the numbers, for a script
    sk.exports.otel.record(recording, meter=meter)         # OpenTelemetry's names (extra `otel`)

Each takes one recording, or several (a list, a `RecordingSet`). Each file format has the same two functions: `of` makes
what is written, in memory, and `write` writes it, whole or not at all; `har` and nothing else is read, too:

    recordings = sk.exports.har.read("network.har")

A recording goes out as it is. What is to leave the house goes through `for_others` first, which leaves out, or masks,
what others need not know. docs/exchange.md says what each format has of a recording, in which units, and what it loses.
"""

from __future__ import annotations

from streamkit.lab.exports import csv, har, otel, parquet, summary, trace
from streamkit.lab.exports.others import for_others

__all__ = ["csv", "for_others", "har", "otel", "parquet", "summary", "trace"]


def __dir__() -> list[str]:
    return sorted(__all__)
