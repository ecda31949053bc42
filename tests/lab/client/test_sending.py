"""A request's body, made of what a caller gives; and what a recorder keeps of its sending. No sockets."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.sending import FILE_BYTES, Sending
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.lab.recording.sends import Sends
from streamkit.outcome import Outcome
from streamkit.transport import Timings


def parts_of(content: Any) -> list[bytes]:
    async def main() -> list[bytes]:
        sending = Sending(content)
        assert sending.content is not None
        assert not isinstance(sending.content, bytes)
        found = [part async for part in sending.content]
        await sending.aclose()
        return found

    return asyncio.run(main())


async def streamed(*parts: Any) -> AsyncIterator[Any]:
    for part in parts:
        yield part


@pytest.mark.parametrize("content", ["你", "你".encode(), bytearray("你".encode()), memoryview("你".encode())])
def test_text_and_bytes_are_sent_as_they_are_and_can_be_sent_again(content: Any) -> None:
    sending = Sending(content)
    assert (sending.content, sending.again) == ("你".encode(), True)


def test_no_content_is_no_body() -> None:
    assert (Sending(None).content, Sending(None).again) == (None, True)


@pytest.mark.parametrize("content", [streamed(b"a", b"b"), iter([b"a", b"b"]), [b"a", bytearray(b"b")], (b"a", b"b")])
def test_iterators_give_their_parts_one_by_one(content: Any) -> None:
    assert not Sending([b"a"]).again
    assert parts_of(content) == [b"a", b"b"]


def test_a_file_is_read_in_parts_and_says_how_much_is_left_of_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(bytes(FILE_BYTES + 10))
    with path.open("rb") as file:
        file.seek(3)
        assert Sending(file).length == FILE_BYTES + 7
        assert list(map(len, parts_of(file))) == [FILE_BYTES, 7]
        assert not file.closed


def test_a_file_that_cannot_be_measured_has_no_length() -> None:
    class Pipe(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            del size
            return b""

    assert Sending(Pipe()).length is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (3, "expected bytes, text, an iterator of bytes .* got int"),
        ({"a": 1}, "got dict"),
        (io.StringIO("text"), "mode 'rb' as content, got one of text"),
    ],
)
def test_what_is_no_body_is_refused_at_once(content: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        Sending(content)


@pytest.mark.parametrize("content", [streamed("text"), ["text"]])
def test_a_part_that_is_no_bytes_is_the_callers_error(content: Any) -> None:
    with pytest.raises(TypeError, match="expected bytes from the iterator given as content, got str: encode it"):
        parts_of(content)


def test_what_an_iterator_raises_is_known_to_be_its_own() -> None:
    async def main() -> None:
        async def failing() -> AsyncIterator[bytes]:
            yield b"a"
            raise OSError("mine")

        sending = Sending(failing())
        await sending.next()
        with pytest.raises(OSError, match="mine") as raised:
            await sending.next()
        assert sending.raised is raised.value
        with pytest.raises(OSError, match="mine"):
            sending.check()

    asyncio.run(main())


def test_an_iterator_that_is_cancelled_in_its_thread_is_closed_when_it_returns() -> None:
    entered, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def blocking() -> Iterator[bytes]:
        try:
            entered.set()
            go_on.wait(5)
            yield b"a"
        finally:
            closed.set()

    async def main() -> None:
        sending = Sending(blocking())
        task = asyncio.create_task(sending.next())
        await asyncio.to_thread(entered.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        asyncio.get_running_loop().call_later(0.02, go_on.set)
        await sending.aclose()
        assert closed.is_set()
        assert sending.raised is None

    asyncio.run(main())


def recorded(*, sent_ns: int | None, failure: WireFailure | None = None, body: bytes = b"") -> Any:
    recorder = Recorder(clock=lambda: 1000)
    recorder.start()
    recorder.sent(1010, 7, 0)
    recorder.sent(1030, 5, 12)
    recorder.timed(Timings(sent_ns=sent_ns, window_full_ns=9))
    recorder.head(200, {"content-type": "text/plain", "content-length": "1"})
    if body:
        recorder.feed(1, 1040, body)
    return recorder.finish(failure)


def test_what_was_sent_is_kept_and_what_was_not_is_said() -> None:
    cut = WireFailure(Outcome("truncated"), "the connection was reset")
    recording = recorded(sent_ns=None, failure=cut)
    assert recording.sends == Sends([10, 30], [7, 5], [0, 12])
    assert recording.error == ("the connection was reset; only 12 bytes of the request's body had been sent")
    assert recording.meta["window_full_ns"] == 9
    assert "12 bytes" not in str(recorded(sent_ns=1030, failure=cut).error)


def test_an_answer_that_was_whole_before_all_was_sent_has_a_note() -> None:
    recording = recorded(sent_ns=None, body=b"x")
    assert (recording.outcome.ok, recording.error) == (True, None)
    assert (
        "the answer was complete when only 12 bytes of the request's body had been sent" in recording.meta["notes"][-1]
    )
