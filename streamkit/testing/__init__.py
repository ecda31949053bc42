"""streamkit in a test suite: assertions about streams, which are skipped if this machine cannot decide them.

    from streamkit.testing import assert_stream

    def test_the_first_piece_is_there_soon(record_stream):
        streams = record_stream("http://127.0.0.1:8000/ans", runs=20, accept="sse")
        assert_stream(streams).whole().first_piece(p95_ms=300).gap(p99_ms=200)

It is a pytest plugin (the entry point `streamkit.testing`; if streamkit is not installed, `-p streamkit.testing`) with
the fixtures `stream_lab` and `record_stream`, and the option `--streamkit-keep FOLDER`, which saves the recordings of
failed tests there. A test run that uses none of it imports neither Sanic nor numpy.

    recordings ──▶ asserting ──▶ limits: kept, broken, or nearer than the instrument can tell
                       └──▶ watching: which test that is, where what it saw is kept; plugin: its end

Doors: the names in this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamkit.testing.plugin import (
    pytest_addoption,
    pytest_configure,
    pytest_runtest_call,
    record_stream,
    stream_lab,
)

if TYPE_CHECKING:
    from streamkit.testing.asserting import StreamAssert as StreamAssert
    from streamkit.testing.asserting import assert_stream as assert_stream

__all__ = [
    "StreamAssert",
    "assert_stream",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_call",
    "record_stream",
    "stream_lab",
]


if not TYPE_CHECKING:  # a type checker knows the names above, and that there are no others

    def __getattr__(name: str) -> Any:
        """PEP 562: numpy comes with the first assertion, and not with pytest."""
        if name not in ("StreamAssert", "assert_stream"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}; there are {', '.join(__all__)}")
        from streamkit.testing import asserting

        value = globals()[name] = getattr(asserting, name)
        return value
