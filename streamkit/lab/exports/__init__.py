"""Recordings as files for other tools, one module for each format; HAR can also be read.

    sk.exports.har.write(recording, "stream.har")          # Chrome DevTools, WebPageTest, waterfall viewers
    sk.exports.parquet.write(streams, "events.parquet")    # pandas, duckdb, polars (extra `parquet`)
    sk.exports.csv.write(streams, "reads.csv", rows="reads")
    sk.exports.trace.write(recording, "stream.json")       # ui.perfetto.dev, chrome://tracing
    sk.exports.summary.write(streams, "summary.json")      # the numbers, for a script
    sk.exports.otel.record(recording, meter=meter)         # OpenTelemetry's names (extra `otel`)

Each takes one recording, or several (a list, a `RecordingSet`). The file formats share two functions: `of` makes in
memory what is to be written, and `write` writes it to a file, whole or not at all. HAR is the only one that can be
read:

    recordings = sk.exports.har.read("network.har")

A recording is exported as it is. Pass what will leave your hands through `for_others` first, which leaves out, or
masks, what others need not know. docs/exchange.md says what each format keeps of a recording, in which units, and what
it loses.
"""

from __future__ import annotations

from streamkit.lab.exports import csv, har, otel, parquet, summary, trace
from streamkit.lab.exports.others import for_others

__all__ = ["csv", "for_others", "har", "otel", "parquet", "summary", "trace"]


def __dir__() -> list[str]:
    return sorted(__all__)
