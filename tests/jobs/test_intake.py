"""The event loop's end of what jobs say: for whom it is open, and that it reads no more than is taken."""

from __future__ import annotations

import asyncio
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from streamkit.errors import ConfigError
from streamkit.jobs import intake as module
from streamkit.jobs.intake import Intake, Messages
from streamkit.jobs.messages import GO, Message, encode_message

WAIT_S = 10.0


def run(check: Callable[[Intake], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(WAIT_S):
            intake = Intake()
            await intake.open()
            try:
                await check(intake)
            finally:
                await intake.close()
            assert not Path(intake.address).parent.exists()

    asyncio.run(main())


@asynccontextmanager
async def connected(intake: Intake, said: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Somebody who works, and says that at first."""
    reader, writer = await asyncio.open_unix_connection(intake.address)
    try:
        writer.write(said)
        yield reader, writer
    finally:
        writer.close()


async def met(expected: asyncio.Future[Messages | None]) -> Messages:
    messages = await expected
    assert messages is not None
    return messages


async def all_of(messages: Messages) -> list[Message]:
    got: list[Message] = []
    while said := await messages.read():
        got += said
    messages.close()
    return got


def test_nobody_else_may_enter_its_folder() -> None:
    async def check(intake: Intake) -> None:
        assert stat.S_IMODE(Path(intake.address).parent.stat().st_mode) == 0o700

    run(check)


@pytest.mark.parametrize("cut", [0, 1, 32])
def test_who_says_the_token_is_told_to_begin_and_is_heard_to_the_end(cut: int) -> None:
    async def check(intake: Intake) -> None:
        token, expected = intake.expect()
        said = token.encode() + b"\n"
        async with connected(intake, said[:cut]) as (reader, writer):
            await asyncio.sleep(0.01)
            writer.write(said[cut:])
            assert await reader.readexactly(1) == GO
            writer.write(encode_message("result", {"a": 1}) * 1000 + encode_message("returned", {}))
        assert await all_of(await met(expected)) == [*[("result", {"a": 1})] * 1000, ("returned", {})]

    run(check)


def test_each_token_leads_to_its_own_messages() -> None:
    async def check(intake: Intake) -> None:
        tokens = [intake.expect() for _ in range(5)]
        for number, (token, _) in reversed(list(enumerate(tokens))):
            async with connected(intake, token.encode() + b"\n") as (reader, writer):
                await reader.readexactly(1)
                writer.write(encode_message("result", {"number": number}))
        for number, (_, expected) in enumerate(tokens):
            assert await all_of(await met(expected)) == [("result", {"number": number})]

    run(check)


@pytest.mark.parametrize("said", [b"", b"\n", b"x" * 33, b"0" * 32 + b"\n", b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n"])
def test_who_does_not_say_it_is_shown_the_door(said: bytes) -> None:
    async def check(intake: Intake) -> None:
        _, expected = intake.expect()
        async with connected(intake, said) as (reader, writer):
            writer.write_eof()
            with suppress(ConnectionError):  # with some of it unread
                assert await reader.read() == b""
        assert not expected.done()

    run(check)


def test_who_says_nothing_is_shown_the_door_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GREETING_S", 0.02)

    async def check(intake: Intake) -> None:
        async with connected(intake, b"abc") as (reader, _):
            assert await reader.read() == b""

    run(check)


@pytest.mark.parametrize("gone", ["cancelled", "given up", "met already"])
def test_a_token_is_good_for_nothing_once_nobody_waits_for_it(gone: str) -> None:
    async def check(intake: Intake) -> None:
        token, expected = intake.expect()
        if gone == "met already":
            async with connected(intake, token.encode() + b"\n") as (reader, _):
                await reader.readexactly(1)
            (await met(expected)).close()
        elif gone == "given up":
            expected.set_result(None)
        else:
            expected.cancel()
        async with connected(intake, token.encode() + b"\n") as (reader, _):
            assert await reader.read() == b""

    run(check)


def fill(connection: socket.socket) -> int:
    """Results, as many as it takes without waiting; their bytes."""
    line, sent = encode_message("result", {"text": "x" * 10_000}), 0
    with suppress(BlockingIOError):
        while sent < 1 << 24:
            sent += connection.send(line)
    return sent


def test_what_nobody_takes_is_not_read() -> None:
    """So whoever says more has to wait."""

    async def check(intake: Intake) -> None:
        token, expected = intake.expect()
        with socket.socket(socket.AF_UNIX) as working:
            working.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(working, intake.address)
            await loop.sock_sendall(working, token.encode() + b"\n")
            messages = await met(expected)
            assert 0 < fill(working) < 1 << 21
            await asyncio.sleep(0.02)
            assert fill(working) == 0
            assert await messages.read()
            assert fill(working) > 0
            messages.close()

    run(check)


async def speak(writer: asyncio.StreamWriter) -> None:
    """On and on."""
    while True:
        writer.write(encode_message("result", {}))
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["hang_up", "close"])
def test_who_still_speaks_when_no_more_is_wanted_gets_an_error(how: str) -> None:
    async def check(intake: Intake) -> None:
        token, expected = intake.expect()
        async with connected(intake, token.encode() + b"\n") as (reader, writer):
            messages = await met(expected)
            await reader.readexactly(1)
            writer.write(encode_message("result", {}))
            await asyncio.sleep(0.01)
            getattr(messages, how)()
            with pytest.raises(ConnectionError):
                await speak(writer)
            if how == "hang_up":
                assert await all_of(messages) == [("result", {})]

    run(check)


def test_no_descriptor_left_keeps_nobody_out_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_S", 0.01)

    async def check(intake: Intake) -> None:
        loop = asyncio.get_running_loop()
        accept, failures = loop.sock_accept, [OSError(24, "Too many open files")]

        async def failing(listener: Any) -> Any:
            if failures:
                raise failures.pop()
            return await accept(listener)

        monkeypatch.setattr(loop, "sock_accept", failing)
        token, expected = intake.expect()
        for _ in range(2):  # the first is met by the accept that waits already
            async with connected(intake, token.encode() + b"\n") as (reader, _):
                await reader.read(1)
            (await met(expected)).close()
            token, expected = intake.expect()
        assert failures == []

    run(check)


def test_a_folder_with_too_long_a_name_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    async def main() -> None:
        with pytest.raises(ConfigError, match="expected TMPDIR as a folder that can hold a socket"):
            await Intake().open()

    asyncio.run(main())
    assert list(folder.iterdir()) == []
