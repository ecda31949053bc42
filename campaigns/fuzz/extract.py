"""Target `extract`: paths beside a plain walk, what compiles, and presets that read events gone wrong in every way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import orjson

from campaigns.fuzz.hostile import BROKEN, KEYS, damaged, dumped, some_json, some_text
from campaigns.fuzz.source import ByteSource, expect
from streamkit.errors import PathSyntaxError
from streamkit.extractor import EVERY, JSON, Extractor
from streamkit.extractor.path import Condition, Path, conditions
from streamkit.extractor.pieces import End, ExtractionError, Piece, ProviderError
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import PRESETS, Preset, writer

CODES = {"malformed_json", "too_deep", "number_too_large", "lone_surrogate", "invalid_utf8", "wrong_type"}
OPERATORS = ("==", "!=")


def check_extract(data: bytes) -> None:
    source = ByteSource(data)
    source.pick((check_preset, check_preset, check_preset, check_path, check_path, check_expression, check_raw))(source)


# --- paths


def check_path(source: ByteSource) -> None:
    value = some_json(source)
    text = dumped(value, source)
    steps = some_steps(value, source)
    extractor = Extractor(steps)
    expect(Extractor(str(extractor.paths[0])) == extractor, "a path can be spelled and read back", path=extractor)
    try:
        decoded = orjson.loads(text)
        as_bytes: str | bytes = text.encode()
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        expect(extractor(text) is None, "no text in what is no JSON", data=text)
        check_result(extractor.read(text))
        return
    want = "".join(item for item in walked(decoded, steps) if isinstance(item, str))
    for spelling in (text, as_bytes, ServerSentEvent(data=text)):
        result = extractor.read(spelling)
        check_result(result)
        expect((extractor(spelling) or "") == want, "the text at the path", data=text, path=extractor, want=want)
        found = result.text if isinstance(result, Piece) else ""
        odd = isinstance(result, ExtractionError) and result.code == "wrong_type"
        expect(odd or found == want, "read() gives the same", data=text, path=extractor, got=result, want=want)


def some_steps(value: Any, source: ByteSource) -> tuple[Any, ...]:
    """A way that mostly leads somewhere, and now and then astray: a wrong key, an index where a key should be."""
    steps: list[Any] = []
    for _ in range(1 + source.number(6)):
        astray = source.chance(5)
        if isinstance(value, dict) and value and not astray:
            step = source.pick(list(value))
        elif isinstance(value, list) and not astray:
            step = source.pick((EVERY, 0, -1, 1, "0", len(value) - 1))
        elif isinstance(value, str) and not astray:
            step = JSON
        else:
            step = source.pick((*KEYS, 0, 1, -1, -2, EVERY, JSON))
        steps.append(EVERY if step == "*" else step)  # which is what a sequence spells so
        value = next(walked(value, steps[-1:]), None)
    return tuple(steps)


def walked(value: Any, steps: Sequence[Any]) -> Iterator[Any]:
    """All that stands at the end of the steps, said plainly."""
    if not steps:
        yield value
        return
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        following = [value[step]] if isinstance(value, dict) and step in value else []
    elif isinstance(step, int):
        following = [value[step]] if isinstance(value, list) and -len(value) <= step < len(value) else []
    elif step is EVERY:
        following = value if isinstance(value, list) else []
    else:
        following = decoded_string(value)
    for item in following:
        yield from walked(item, rest)


def decoded_string(value: Any) -> list[Any]:
    try:
        return [orjson.loads(value)] if isinstance(value, str) else []
    except orjson.JSONDecodeError:
        return []


def check_raw(source: ByteSource) -> None:
    """Any bytes as the data of an event, and as the text that somebody makes of them."""
    extractor = source.pick(RAW)
    data = source.take(2) + source.pick(BROKEN).encode() + source.rest() if source.chance(2) else source.rest()
    replaced = data.decode("utf-8", "replace")
    got, got_of_text = extractor.read(data), extractor.read(replaced)
    check_result(got)
    check_result(got_of_text)
    if replaced.encode() == data and not isinstance(got, ExtractionError):  # which says where: in bytes or characters
        expect(got == got_of_text, "bytes and their text are read alike", data=data, bytes=got, text=got_of_text)
    extractor.read(data.decode("utf-8", "surrogateescape"))  # half characters; a caller's, as no parser makes any


RAW = (
    Extractor("a"),
    Extractor("a[*].b", where="a[*].c == 1 or absent"),
    Extractor("a | json | b"),
    Extractor("@data"),
    Extractor("@data | json | [0]", "a"),
)


def check_expression(source: ByteSource) -> None:
    """Anything at all as a path or a condition: PathSyntaxError, or something that can be spelled and read back."""
    text = source.rest().decode("utf-8", "surrogateescape")
    for make in (Path.of, conditions):
        try:
            made: Any = make(text)
        except PathSyntaxError as error:
            expect(0 <= error.position <= len(text), "the position is in the text", text=text, position=error.position)
            continue
        again: Any = make(str(made)) if isinstance(made, Path) else conditions([str(one) for one in made])
        expect(again == made, "what compiled is spelled and read back", text=text, made=made, again=again)
        where: tuple[Condition, ...] = () if isinstance(made, Path) else made
        extractor = Extractor(made if isinstance(made, Path) else "a", where=where)
        check_result(extractor.read('{"a": [{"b": "c"}]}'))


# --- presets


def check_preset(source: ByteSource) -> None:
    known = PRESETS[source.pick([*PRESETS])]
    known = replace(known, show_reasoning=bool(source.number(2)))  # a new one: it has learnt no shapes yet
    events = [some_event(known, source) for _ in range(source.number(8))]
    events *= 1 + source.number(6) * 4  # a shape must come often before there is a plan for it
    single = [known.rules.read_by_rules(event) for event in events]  # the rules are what a plan only shortens
    for result in single:
        check_result(result)
    want = flattened(single)
    for cut in (max(1, len(events)), 1, 1 + source.number(40)):
        got = flattened(read_in_parts(known, events, cut))
        expect(got == want, "reading many is reading each", preset=known, cut=cut, got=got, want=want)
    for event, result in zip(events, single, strict=True):
        expect(known.read(event) == result, "read() is the rules' result", preset=known, event=event, want=result)
        known.matches(event)


def some_event(known: Preset, source: ByteSource) -> ServerSentEvent:
    """One of the provider's own events, or of another's, damaged or not."""
    event = source.pick(original_events(known.name if not source.chance(12) else source.pick([*PRESETS])))
    if not source.chance(2):
        return event
    try:
        value = json.loads(event.data)
    except ValueError:
        value = event.data
    for _ in range(source.number(4)):
        value = damaged(value, source)
    data = some_text(source) if source.chance(8) else dumped(value, source)
    kind = event.event if not source.chance(8) else source.pick(("message", "error", "done", "ping", "", "output"))
    return ServerSentEvent(kind, data, event.id)


@cache
def original_events(name: str) -> list[ServerSentEvent]:
    form = writer(name)
    texts = ("Hi", '"', "\\", "你好", "[DONE" if name == "sse-text" else "[DONE]", "null")
    pieces = [form.piece(text, number) for number, text in enumerate(texts)]
    blocks = [*form.open(), *pieces, *form.close(6), b"\n\n", form.error("overloaded"), form.error("503")]
    parser = NDJSONParser() if PRESETS[name].grammar == "ndjson" else SSEParser()
    return parser.feed(b"".join(blocks))


def read_in_parts(known: Preset, events: list[ServerSentEvent], size: int) -> list[Any]:
    """All that `read_pieces` gives, as the relay calls it for each read: again, behind an end or an error."""
    results: list[Any] = []
    for start in range(0, len(events), size):
        run = iter(events[start : start + size])
        pieces: list[Piece] = []
        end: Any = ...
        while end is not None:
            end = known.read_pieces(run, pieces)
            results += [*pieces, end]
            pieces.clear()
    return results


def flattened(results: Sequence[Any]) -> list[Any]:
    """Pieces, ends and errors in their order; the end that came with a piece stands in it, and only there."""
    flat: list[Any] = []
    for result in results:
        in_piece = bool(flat) and isinstance(flat[-1], Piece) and flat[-1].end is result
        if result is not None and not in_piece:
            flat.append(result)
    return flat


def check_result(result: Any) -> None:
    """What one event may give, by type and bounds."""
    match result:
        case None:
            return
        case Piece(text, reasoning, end):
            expect(type(text) is type(reasoning) is str, "texts are str", result=result)
            expect(bool(text or reasoning), "no empty piece", result=result)
            halves = [sign for sign in text + reasoning if "\ud800" <= sign <= "\udfff"]
            expect(not halves, "whole characters", result=result)
            fits = end is None or isinstance(end, (End, ProviderError))
            expect(fits, "only an end or a failure comes with a piece", result=result)
        case End(reason):
            expect(reason is None or is_code(reason), "a reason is a word", result=result)
        case ExtractionError(code, message):
            expect(code in CODES, "a known code", result=result)
            ours = message.isascii() or code == "wrong_type"  # which names the path, and that is ours
            expect(ours and message.isprintable() and len(message) < 200, "it quotes nothing", got=result)
        case ProviderError(code, message):
            expect(is_code(code), "a code is a word", result=result)
            expect(len(message) <= 200 and (message.isprintable() or not message), "a short message", result=result)
        case _:
            expect(False, "a Piece, an End, an error or None", result=result)


def is_code(word: str) -> bool:
    return 1 <= len(word) <= 64 and all("!" <= sign <= "~" for sign in word)
