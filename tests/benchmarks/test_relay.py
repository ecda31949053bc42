"""Every relay of the benchmark does the same work, so that comparing them means something. No speed is judged here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from benchmarks import backpressure
from benchmarks.harness import Started, cpu_s, memory_bytes, started
from benchmarks.relay import ENDPOINT, Traffic, load, our_command
from benchmarks.relay_events import DEFAULT, EVENTS, WORDS
from benchmarks.relay_peers import PEERS, command
from benchmarks.relay_upstream import BLOCK_EVENTS, FRAMING_BYTES, Question, Sum, events_of, text_of
from streamkit.lab.net.buffers import NETWORKS
from streamkit.parser import SSEParser
from streamkit.presets import Answer, preset

PACED = Traffic(streams=3, events=5, gap_us=1000, limit_s=20)
SATURATED = Traffic(streams=2, events=BLOCK_EVENTS + 1, limit_s=20)
RELAYS = ["streamkit", *(name for name, peer in PEERS.items() if not peer.missing)]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Started]:
    with started([sys.executable, "-m", "benchmarks.relay_upstream"]) as server:
        yield server


@pytest.mark.parametrize("name", RELAYS)
def test_every_relay_delivers_the_whole_text_and_nothing_else(upstream: Started, name: str) -> None:
    url = upstream.url + ENDPOINT
    answer = f"passed-{DEFAULT}" if name in PEERS and not PEERS[name].extracts else "text"
    with started(command(PEERS[name], url) if name in PEERS else our_command(url)) as relay:
        for traffic in (PACED, SATURATED):
            run = load(relay, upstream, traffic, answer=answer)
            assert (run.load.complete, run.load.right, run.load.errors) == (traffic.streams, traffic.streams, [])


def test_the_load_client_sees_a_text_that_is_not_the_expected_one(upstream: Started) -> None:
    """The upstream itself, which extracts nothing, in a relay's place."""
    run = load(upstream, upstream, PACED)
    assert (run.load.complete, run.load.right) == (PACED.streams, 0)
    assert load(upstream, upstream, PACED, answer=f"passed-{DEFAULT}").load.right == PACED.streams


def test_a_load_has_an_end_although_the_streams_have_none(upstream: Started) -> None:
    run = load(upstream, upstream, Traffic(streams=2, events=2, gap_us=60_000_000, limit_s=0.5))
    assert run.load.complete == 0
    assert run.load.errors == ["not over in time"] * 2


def test_memory_is_taken_while_all_streams_are_open(upstream: Started) -> None:
    run = load(upstream, upstream, Traffic(streams=20, events=3, gap_us=200_000, limit_s=20), weigh=True)
    assert run.stream_bytes is not None


def test_text_is_told_from_framing_by_its_alphabet() -> None:
    text = b"".join(text_of(40))
    assert not set(text) & set(FRAMING_BYTES)
    assert Sum(b"%x\r\n%b\r\n" % (len(part), part) for part in (text[:7], text[7:])) == Sum([text])
    assert Sum([text[:-1]]) != Sum([text])
    assert Sum([text[1:2] + text[:1] + text[2:]]) != Sum([text])


@pytest.mark.parametrize("said", EVENTS)
@pytest.mark.parametrize("events", [0, 1, 2 * BLOCK_EVENTS + 3])
def test_an_answer_has_as_many_events_as_asked_for(said: str, events: int) -> None:
    parser, answer = SSEParser(), Answer(preset(EVENTS[said].preset))
    pieces = [piece for part in events_of(events, said) for piece in answer.read(parser.feed(part))]
    assert len(pieces) == events
    assert "".join(piece.text for piece in pieces).encode() == b"".join(text_of(events))
    assert not events or answer.problem_at_end(clean=True) is None


@pytest.mark.parametrize("said", EVENTS)
def test_the_peers_read_the_text_where_ours_does(said: str) -> None:
    events = EVENTS[said]
    found = [events.text(json.loads(event[6:]), json.loads) for event in events.pieces]
    assert "".join(filter(None, found)).encode() == b"".join(text_of(len(found)))


def test_events_vary_unless_they_are_plain() -> None:
    lengths = {said: len({*map(len, events.pieces)}) for said, events in EVENTS.items()}
    assert lengths["plain"] < len(set(WORDS))
    assert all(
        len(set(events.pieces)) == BLOCK_EVENTS for said, events in EVENTS.items() if said not in {"plain", "openai"}
    )
    assert len(set(EVENTS["openai"].pieces)) > BLOCK_EVENTS * 0.9


def test_a_question_survives_a_form_and_json() -> None:
    question = Question(7, 10_000, 250)
    assert Question.found_in(b'{"content":"%b"}' % str(question).encode()) == question
    with pytest.raises(ValueError, match="the relay lost it"):
        Question.found_in(b"{}")


def test_a_server_that_does_not_start_is_told_with_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such luck')"]
    with pytest.raises(RuntimeError, match="it ended\nno such luck"), started(command):
        pass


def test_cpu_and_memory_are_those_of_that_process(upstream: Started) -> None:
    before_s = cpu_s(upstream.pid)
    load(upstream, upstream, Traffic(streams=10, events=40_000, limit_s=20))
    assert cpu_s(upstream.pid) > before_s
    assert memory_bytes(upstream.pid) > 1_000_000


def test_a_connection_of_small_buffers_absorbs_the_same_in_every_run() -> None:
    found = backpressure.absorb(backpressure.QUICK)
    assert [(one.network, one.write_bytes) for one in found] == [
        *(("loopback-tcp", 100), ("loopback-tcp", 1024)),
        *(("small-buffers", 100), ("small-buffers", 1024)),
    ]
    tcp, small = found[:2], found[2:]
    assert all(len(set(one.totals)) == 1 for one in small)
    assert min(total for one in tcp for total in one.totals) > 10 * max(one.totals[0] for one in small)


def test_a_slow_reader_holds_the_upstream_of_every_relay() -> None:
    found = list(backpressure.starve(backpressure.QUICK))
    assert {(one.relay, one.network) for one in found} >= {("streamkit", name) for name in NETWORKS}
    for one in found:
        assert 0 < one.sent < backpressure.PIECES // 2, one
        assert 0 < one.read_bytes <= backpressure.QUICK.slow_s * backpressure.RATE_BYTES_PER_S, one
        assert 0 <= one.growth_bytes < backpressure.PIECES * backpressure.PIECE_BYTES, one


@pytest.mark.parametrize("network", ["small-buffers"])
def test_healthy_readers_get_their_whole_text_beside_a_stalled_one(network: str) -> None:
    """Asserted by the client and the stalled reader themselves."""
    gaps = backpressure.beside_stalled(network, backpressure.QUICK)
    assert len(gaps.alone_ms) == len(gaps.beside_ms) == backpressure.QUICK.rounds
    assert min(*gaps.alone_ms, *gaps.beside_ms) > 0


def test_the_policies_are_compared_by_what_came_of_the_same_answer() -> None:
    found = {one.policy.partition("(")[0]: one for one in backpressure.policies(backpressure.QUICK)}
    pieces = backpressure.QUICK.policy_pieces
    assert list(found) == ["pause", "buffer", "coalesce", "latest", "disconnect"]
    for name in ("pause", "buffer", "coalesce"):
        assert (found[name].same_text, found[name].facts.received, found[name].facts.dropped) == (True, pieces, 0)
        assert found[name].facts.outcome.ok
        assert found[name].peak_pending_bytes <= backpressure.KEEP_BYTES
    latest, cut = found["latest"].facts, found["disconnect"].facts
    assert latest.outcome.ok
    assert latest.dropped
    assert latest.received + latest.dropped == pieces
    assert not cut.outcome.ok
    assert cut.received < pieces
    held_ns = {name: one.facts.upstream_held_ns or 0 for name, one in found.items()}
    assert held_ns["pause"] > max(held_ns["buffer"], held_ns["coalesce"], held_ns["latest"])


def test_the_benchmark_of_back_pressure_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert backpressure.main(["--scenario", "absorbed", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert "## absorbed" in printed
    assert printed.count("small-buffers") == 2
    assert "MISSED" not in printed
