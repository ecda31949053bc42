"""The fuzz targets: each finds nothing in the product, and each finds what was broken on purpose."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from campaigns.fuzz import __main__ as command
from campaigns.fuzz import engines, form, parsers, reference, responses, stream
from campaigns.fuzz.engines import Run, hypothesis_for, hypothesis_round
from campaigns.fuzz.form import read_chat_history
from campaigns.fuzz.source import KNOBS, ByteSource, Finding
from campaigns.fuzz.targets import TARGETS, Target
from streamkit.errors import LimitExceeded
from streamkit.extractor import follow as walk
from streamkit.extractor.pieces import ExtractionError, Piece
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser, encode_event
from streamkit.presets import plans as shape
from streamkit.presets import rules
from streamkit.relay.failure import Failed
from streamkit.relay.sources.reading import Reading
from streamkit.transport import framing
from streamkit.transport.framing import WireError
from streamkit.transport.http1 import ResponseParser

Break = Callable[[pytest.MonkeyPatch], None]


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found_in_the_product(name: str) -> None:
    run = Run()
    hypothesis_for(TARGETS[name], run, seconds=1e-9, seed=20, clock=iter(range(3)).__next__)  # the seeds alone
    hypothesis_round(TARGETS[name], run, seed=20, examples=200)
    assert run.finding is None, f"{run.finding!r}"
    assert run.examples >= 200


# --- each oracle can fail -------------------------------------------------------------------------------------------


class ForgetsTheCR(SSEParser):
    """A CR LF that is cut in the middle becomes two line ends."""

    def feed(self, data: Any) -> list[ServerSentEvent]:
        self._after_cr = False
        return super().feed(data)


class SplitsAtSeparators(SSEParser):
    """U+2028 ends a line, as it does for `str.splitlines`."""

    def feed(self, data: Any) -> list[ServerSentEvent]:
        return super().feed(data.replace("\u2028".encode(), b"\n"))


class ChokesOnInvalidUTF8(SSEParser):
    def _field(self, line: str) -> None:
        line.replace("\ufffd", "\ud800").encode()
        super()._field(line)


class TakesNulInIds(SSEParser):
    def _field(self, line: str) -> None:
        super()._field(line.replace("\0", ""))


class Boundless(SSEParser):
    def __init__(self, **_: Any) -> None:
        super().__init__()


class OneByteMore(SSEParser):
    def __init__(self, *, max_event_bytes: int = 1 << 20, **others: Any) -> None:
        super().__init__(max_event_bytes=max_event_bytes + 1, **others)


class DispatchesAtTheEnd(SSEParser):
    def close(self) -> list[ServerSentEvent]:
        again = self._closed
        super().close()
        return [self.unfinished] if self.unfinished and not again else []


class RaisesTwice(SSEParser):
    """An oversized event is reported a second time."""

    last: LimitExceeded | None = None

    def feed(self, data: Any) -> list[ServerSentEvent]:
        again, self.last = self.last, None
        if again is not None:
            again.events = []
            raise again
        try:
            return super().feed(data)
        except LimitExceeded as error:
            self.last = error
            raise


class CutLinesAreWhole(NDJSONParser):
    def close(self) -> list[ServerSentEvent]:
        again = self._closed
        return super().close() or ([self.unfinished] if self.unfinished and not again else [])


class EmptyLinesCount(NDJSONParser):
    def feed(self, data: Any) -> list[ServerSentEvent]:
        return [*super().feed(data), *([ServerSentEvent()] if data == b"\n" else [])]


class BoundlessLines(NDJSONParser):
    def __init__(self, **_: Any) -> None:
        super().__init__()


class AnyCloseIsAnEnd(ResponseParser):
    def eof(self) -> None:
        try:
            super().eof()
        except WireError:
            if self.status is None:
                raise
            self.complete = True


class LosesBytesBehindTheHead(ResponseParser):
    def feed(self, data: bytes) -> bytes:
        before = self.status
        piece = super().feed(data)
        return piece if before is not None else b""


class ReusesAfterSurplus(ResponseParser):
    """Whether bytes came behind the end is seen only where they came with it."""

    def feed(self, data: bytes) -> bytes:
        if self.complete:
            return b""
        return super().feed(data)


class ChokesOnALetter(ResponseParser):
    def feed(self, data: bytes) -> bytes:
        return super().feed(data) + (bytes.fromhex("x") if data.endswith(b"l") else b"")


def put(module: types.ModuleType | type, name: str, broken: Any) -> Break:
    return lambda patch: patch.setattr(module, name, broken)


def reading_that(**changed: Any) -> Break:
    """`sources.reading.Reading` with these methods instead."""
    return put(stream, "Reading", type("Broken", (Reading,), changed))


def _clean_is_enough(self: Any, *, clean: bool) -> None:
    if not (self.complete or clean):
        Reading.check_end(self, clean=clean)


def _any_end_is_the_end(self: Any, events: list[ServerSentEvent]) -> list[Piece]:
    pieces = Reading._extract(self, events)
    self._answer.complete = self._answer.signed
    return pieces


def _done_anywhere(self: Any, data: bytes, read_ns: int) -> list[Piece]:
    pieces = Reading.feed(self, data, read_ns)
    self._answer.complete = self._answer.complete or b"[DONE]" in data
    return pieces


def _errors_pass(self: Any, events: list[ServerSentEvent]) -> list[Piece]:
    pieces = Reading._extract(self, events)
    self.failure = self._answer.failure = None
    return pieces


def _first_piece_is_lost(self: Any, data: bytes, read_ns: int) -> list[Piece]:
    return Reading.feed(self, data, read_ns)[1:]


def _never_complete(self: Any, *, clean: bool) -> None:
    self._answer.complete = self._answer.signed = False
    self.failure, self._answer._needs_sign = None, True
    Reading.check_end(self, clean=clean)


def _latin_1(content_type: str, body: bytes) -> str:
    return read_chat_history(content_type, body).encode("latin-1").decode()


def _replaced(_: str, body: bytes) -> str:
    return body.decode("utf-8", "replace") or "x"


def _stripped(content_type: str, body: bytes) -> str:
    return read_chat_history(content_type, body).strip()


def _quotes(content_type: str, body: bytes) -> str:
    try:
        return read_chat_history(content_type, body)
    except Failed as error:
        raise Failed(replace(error.failure, detail=f"{error} {body!r}")) from None


def _quoting(data: Any, _: Exception) -> ExtractionError:
    return ExtractionError("malformed_json", f"not JSON: {data!r}")


def _encode_without_id(event: ServerSentEvent) -> bytes:
    return encode_event(event._replace(id=""))


class JSONWithNumbersAsKeys:
    """Lists decoded as objects, whose keys are the indices."""

    JSONDecodeError = orjson.JSONDecodeError

    @staticmethod
    def loads(data: Any) -> Any:
        value = orjson.loads(data)
        return {str(number): item for number, item in enumerate(value)} if type(value) is list else value


def _text_unless_nothing(_: Any, __: Any, text: shape.Text | None) -> shape.Text:
    return text or (lambda _: "")


def _last_length(lengths: list[bytes]) -> int | None:
    return int(lengths[-1]) if lengths and lengths[-1].isdigit() else None


def _last_value(headers: framing.Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name][-1:]


SPLIT = "the split does not matter"
ANY = ""

BROKEN: dict[str, tuple[str, str, Break]] = {
    "a parser that forgets a CR between two reads": ("sse", SPLIT, put(parsers, "SSEParser", ForgetsTheCR)),
    "a parser with more line ends": ("sse", ANY, put(parsers, "SSEParser", SplitsAtSeparators)),
    "a parser that raises on invalid UTF-8": ("sse", ANY, put(parsers, "SSEParser", ChokesOnInvalidUTF8)),
    "a parser that takes NUL in ids": ("sse", ANY, put(parsers, "SSEParser", TakesNulInIds)),
    "a parser without bounds": ("sse", ANY, put(parsers, "SSEParser", Boundless)),
    "a bound that is off by one": ("sse", ANY, put(parsers, "SSEParser", OneByteMore)),
    "a parser that dispatches what was cut": (
        "sse",
        "no event comes out",
        put(parsers, "SSEParser", DispatchesAtTheEnd),
    ),
    "a parser that reports an event twice": ("sse", ANY, put(parsers, "SSEParser", RaisesTwice)),
    "an encoder that drops ids": ("sse", "round trip", put(parsers, "encode_event", _encode_without_id)),
    "NDJSON: cut lines are whole": ("ndjson", "the last line", put(parsers, "NDJSONParser", CutLinesAreWhole)),
    "NDJSON: blank lines are events": ("ndjson", SPLIT, put(parsers, "NDJSONParser", EmptyLinesCount)),
    "NDJSON: no bound": ("ndjson", ANY, put(parsers, "NDJSONParser", BoundlessLines)),
    "paths that take an index for a key": ("extract", "text at the path", put(walk, "orjson", JSONWithNumbersAsKeys)),
    "plans that overlook errors": ("extract", "reading many", put(rules, "any_alarm", lambda *_: None)),
    "plans that overlook reasons": ("extract", "reading many", put(rules, "text_unless", _text_unless_nothing)),
    "errors that quote the payload": ("extract", "it quotes nothing", put(walk, "_malformed", _quoting)),
    "JSON that raises": ("extract", ANY, put(walk, "_malformed", lambda *_: 1 / 0)),
    "HTTP: any close is an end": ("http", "complete for h11", put(responses, "ResponseParser", AnyCloseIsAnEnd)),
    "HTTP: bytes behind the head are lost": (
        "http",
        SPLIT,
        put(responses, "ResponseParser", LosesBytesBehindTheHead),
    ),
    "HTTP: surplus is overlooked": ("http", SPLIT, put(responses, "ResponseParser", ReusesAfterSurplus)),
    "HTTP: something else is raised": ("http", "fromhex", put(responses, "ResponseParser", ChokesOnALetter)),
    "HTTP: the last of several lengths counts": ("http", " for h", put(framing, "_content_length", _last_length)),
    "HTTP: the last of several codings counts": ("http", " for h", put(framing, "field_values", _last_value)),
    "forms: only Latin-1": ("form", ANY, put(form, "read_chat_history", _latin_1)),
    "forms: whatever comes": ("form", ANY, put(form, "read_chat_history", _replaced)),
    "forms: stripped": ("form", "what was sent", put(form, "read_chat_history", _stripped)),
    "forms: errors that quote the body": ("form", "it quotes nothing", put(form, "read_chat_history", _quotes)),
    "streams: clean framing is enough": ("stream", "proof", reading_that(check_end=_clean_is_enough)),
    "streams: every sign of an end proves it": ("stream", ANY, reading_that(_extract=_any_end_is_the_end)),
    "streams: the end marker within a text": ("stream", ANY, reading_that(feed=_done_anywhere)),
    "streams: errors are overlooked": ("stream", ANY, reading_that(_extract=_errors_pass)),
    "streams: a piece is lost": ("stream", ANY, reading_that(feed=_first_piece_is_lost)),
    "streams: nothing is ever complete": ("stream", "judged rightly", reading_that(check_end=_never_complete)),
}
"""What is broken: in which target, which promise has to be named (any, where several are broken), and how."""


@contextmanager
def broken(name: str) -> Iterator[Target]:
    """The target, while its subject is broken in that way."""
    with pytest.MonkeyPatch.context() as patch:
        BROKEN[name][2](patch)
        yield TARGETS[BROKEN[name][0]]


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_on_purpose_is_found(name: str) -> None:
    """Round after round: which of several broken promises is found first depends on what hypothesis learns from the
    constants in our sources, and so changes with any of them.
    """
    run, promise = Run(), BROKEN[name][1]
    with broken(name) as target:
        for seed in range(25):
            hypothesis_round(target, run, seed, examples=400, shrink=False)
            if run.finding is not None and promise in named(run):
                break
    assert run.finding is not None
    assert promise in named(run)
    assert isinstance(run.why, Finding) is (name not in RAISING)


def named(run: Run) -> str:
    """The promise that was broken."""
    return str(run.why).partition("\n")[0]


RAISING = {
    "a parser that raises on invalid UTF-8",
    "JSON that raises",
    "HTTP: something else is raised",
    "forms: only Latin-1",
}


def test_every_target_was_broken() -> None:
    assert {target for target, _, _ in BROKEN.values()} == set(TARGETS)


@pytest.mark.parametrize(
    "wire",
    [
        responses.CHUNKED + b"1\r\n!\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
        responses.head(b"Content-Length: x", status=b"HTTP/1.1 103 Early Hints") + responses.SEEDS[0],
    ],
    ids=["a trailer", "an interim head"],
)
def test_h11_may_refuse_a_framing_field_that_has_no_say(wire: bytes) -> None:
    assert not responses.h11_reads(wire, "GET").complete
    responses.check_http(bytes(KNOBS) + wire)


# --- the reference --------------------------------------------------------------------------------------------------


def test_the_reference_reads_the_examples_of_the_standard() -> None:
    """WHATWG HTML 9.2.6."""
    first = reference.sse(b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event")
    assert [(data, last_id) for _, data, last_id in first.events] == [("first event", "1"), ("second event", "")]
    assert first.unfinished
    assert [data for _, data, _ in reference.sse(b"data\n\ndata\ndata\n\ndata:").events] == ["", "\n"]
    assert reference.sse(b"data: YHOO\r\ndata: +2\rdata: 10\n\r").events == [("message", "YHOO\n+2\n10", "")]


def test_the_reference_drops_what_is_too_large() -> None:
    body = b"id: 1\ndata: 12345\n\ndata: 1\n\n:" + b"c" * 11 + b"\n\ndata: "
    assert reference.sse(body, max_line=11, max_event=15).oversized == 2
    assert reference.sse(body, max_line=11, max_event=15).events == [("message", "1", "")]
    assert reference.ndjson(b"[1,2]\n\n[]\n1", max_line=3) == (["[]"], 1, b"1")


def test_fewer_bytes_make_a_simpler_case() -> None:
    empty = ByteSource(b"")
    assert (empty.number(9), empty.pick("ab"), empty.chance(2), empty.rest()) == (0, "a", False, b"")
    assert ByteSource(b"").ways(b"ab") == [[b"ab"], [b"a", b"b"], [b"ab"]]
    assert ByteSource(bytes([2, 1, 1])).ways(b"ab")[2] == [b"a", b"", b"b"]


# --- the engines ----------------------------------------------------------------------------------------------------


def refuses_x(data: bytes) -> None:
    if b"x" in data:
        raise Finding("no x")


def test_the_same_seed_makes_the_same_inputs() -> None:
    def seen(seed: int) -> list[bytes]:
        inputs: list[bytes] = []
        hypothesis_round(Target("t", "", inputs.append, (b"seed",), (b"token",)), Run(), seed, examples=50)
        return inputs

    assert seen(1) == seen(1)
    assert seen(1) != seen(2)


def test_a_finding_is_made_small() -> None:
    run = Run()
    hypothesis_round(Target("t", "", refuses_x), run, seed=1, examples=1000)
    assert run.finding == b"x"
    assert isinstance(run.why, Finding)
    assert engines.smallest(Target("t", "", refuses_x), b"a long text, and an x in it") == b"x"


def test_rounds_go_on_until_the_time_is_over() -> None:
    run = Run()
    hypothesis_for(Target("t", "", lambda _: None), run, seconds=2.5, seed=1, clock=iter(range(9)).__next__)
    assert run.examples == 2 * engines.ROUND_EXAMPLES


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.seeds])
def test_seeds_are_whole_inputs(name: str) -> None:
    assert len(TARGETS[name].corpus) == len(TARGETS[name].seeds) > 0
    assert all(data[KNOBS:] in TARGETS[name].seeds for data in TARGETS[name].corpus)


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Callable[[bytes], None]], None]:
    """Puts a check in the place of the target `sse`'s; findings go to an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda check: monkeypatch.setitem(TARGETS, "sse", replace(TARGETS["sse"], check=check, seeds=()))


def test_the_command_knows_every_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(TARGETS) == command.NAMES
    assert command.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*TARGETS]


def test_a_finding_is_written_and_can_be_replayed(
    target: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target(refuses_x)
    assert command.main(["sse", "--minutes", "1", "--seed", "1"]) == 1
    [path] = tmp_path.iterdir()
    assert path.read_bytes() == b"x"
    out = capsys.readouterr().out
    assert f"python -m campaigns.fuzz sse --replay {path.name}" in out
    assert "1 findings" in out.splitlines()[-1]
    assert command.main(["sse", "--replay", str(path)]) == 1
    assert "Finding: no x" in capsys.readouterr().err
    path.write_bytes(b"y")
    assert command.main(["sse", "--replay", str(path)]) == 0
    assert command.main(["sse", "--replay", str(path / "missing")]) == 2


def test_a_run_without_a_finding_writes_nothing(target: Callable[..., None], tmp_path: Path) -> None:
    target(lambda _: None)
    assert command.main(["sse", "--minutes", "1e-9"]) == 0
    assert [*tmp_path.iterdir()] == []


def test_ctrl_c_ends_with_the_summary(target: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[bytes] = []

    def interrupted(data: bytes) -> None:
        seen.append(data)
        if len(seen) == 30:
            raise KeyboardInterrupt

    target(interrupted)
    assert command.main(["sse", "--minutes", "1", "--seed", "1"]) == 130
    assert capsys.readouterr().out.splitlines()[-1].startswith("sse: 30 examples, 0 findings, ")


@pytest.mark.parametrize("words", [[], ["nonsense"], ["sse", "--minutes", "0"]])
def test_a_wrong_call_is_told_what_is_expected(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2
    assert "usage: python -m campaigns.fuzz" in capsys.readouterr().err


def test_without_atheris_the_command_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert command.main(["sse", "--engine", "atheris"]) == 2
    assert "pip install atheris" in capsys.readouterr().err


class FakeAtheris(types.ModuleType):
    """Feeds a list of inputs; what the real one does with the process is left to `engines.leave`."""

    def __init__(self, inputs: Sequence[bytes]) -> None:
        super().__init__("atheris")
        self.inputs = inputs

    @contextmanager
    def instrument_imports(self, include: list[str]) -> Iterator[None]:
        assert include == ["streamkit"]
        yield

    def Setup(self, words: list[str], once: Callable[[bytes], None]) -> None:  # noqa: N802  # atheris's name
        self.once = once
        self.corpus = Path(words[-1])
        assert self.corpus.is_dir()

    def Fuzz(self) -> None:  # noqa: N802  # atheris's name
        for data in self.inputs:
            self.once(data)


def test_atheris_drives_the_same_function(
    target: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target(refuses_x)
    atheris = FakeAtheris([b"a", b"b", b"a long text, and an x in it", b"c"])
    monkeypatch.setitem(sys.modules, "atheris", atheris)
    monkeypatch.setattr(engines, "leave", sys.exit)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        command.main(["sse", "--engine", "atheris"])
    assert ended.value.code == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"x"]
    assert capsys.readouterr().out.splitlines()[-1].startswith("sse: 3 examples, 1 findings, ")
    assert not atheris.corpus.exists()


def test_with_atheris_nothing_of_ours_is_imported_before_it_can_be_instrumented() -> None:
    ours = "[name for name in sys.modules if name.split('.')[0] == 'streamkit']"
    code = f"import sys, campaigns.fuzz.__main__; print({ours})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
