"""Lab: upstream, relay and client together, on real sockets; the taps of all three joined."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import threading
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx2
import numpy as np
import pytest
from sanic import Request, Sanic

from streamkit.errors import ConfigError, ServerError, UnknownPreset
from streamkit.lab import lab as lab_module
from streamkit.lab import server_taps as fetching
from streamkit.lab.lab import Lab, Roles
from streamkit.lab.net.buffers import NETWORKS, Network
from streamkit.lab.net.toxics import Blackhole, Cut, Latency, Slice, Toxic
from streamkit.lab.recording.recorded import FOREIGN_TAPS
from streamkit.lab.recording.recording import Recording
from streamkit.lab.run import run
from streamkit.lab.upstream import Script, create_upstream
from streamkit.relay.delivery.policy import Policy
from streamkit.serving.server import serve, servers
from tests.cells import FakeShell
from tests.server_apps import make_app
from tests.servers import QUICK_S, alive, eventually

pytestmark = pytest.mark.usefixtures("nothing_left")

SCRIPT = Script(["床前", "明月光，", "疑", "是地上霜。"] * 3, first_piece_ms=20, gap_ms=4)
SIZE = len(SCRIPT.text.encode())
EVERYWHERE = pytest.mark.parametrize("roles", ["threads", "processes", "one loop"])
IN_PROCESS = pytest.mark.parametrize("roles", ["threads", "one loop"])

ASK = functools.partial(Lab.post, chat_history="你好")


def slow_tap() -> Script:
    """A stream of a minute, to be left before its end."""
    return Script(["x"] * 1000, first_piece_ms=0, gap_ms=60)


# --- The join -------------------------------------------------------------------------------------------------------


@EVERYWHERE
def test_every_tap_has_every_piece_whatever_is_spoken(roles: Roles) -> None:
    with Lab(SCRIPT, roles=roles) as lab:
        recordings = [run(ASK(lab, accept=accept)) for accept in (None, "text", "sse", "ndjson")]
    for recording in recordings:
        assert recording.outcome.ok
        assert recording.text == SCRIPT.text
        assert recording.taps.keys() == set(FOREIGN_TAPS)
        assert {curve.total for curve in recording.curves("bytes").values()} == {SIZE}
        assert {curve.total for curve in recording.curves("events").values()} == {len(SCRIPT.pieces)}
        assert {"relay.asked", "relay.asking", "upstream.asked"} <= recording.marks.keys()
        assert not [note for note in recording.meta["notes"] if "taps" in note]
    spoken = [str(recording.content_type).partition(";")[0] for recording in recordings]
    assert spoken == ["text/plain", "text/plain", "text/event-stream", "application/x-ndjson"]


# A send is stamped when it has returned; by then the other end may have read. So these orders, and no others, are sure.
ORDERS = (
    ("upstream.due", "upstream.sent"),
    ("upstream.due", "relay.read"),
    ("relay.read", "relay.event"),
    ("relay.event", "relay.send"),
    ("relay.send", "relay.sent"),
    ("relay.send", "client.read"),
    ("client.read", "client.event"),
)


@EVERYWHERE
def test_no_event_is_seen_before_it_was_there(roles: Roles) -> None:
    with Lab(SCRIPT, roles=roles) as lab:
        recording = run(ASK(lab, accept="sse"))
    curves = recording.curves("events")
    for before, after in ORDERS:
        passed = np.repeat(curves[before].at_ns, np.diff(curves[before].count, prepend=0))
        seen = np.repeat(curves[after].at_ns, np.diff(curves[after].count, prepend=0))
        assert (passed <= seen).all(), f"{after} saw an event that {before} had not"
    marks = recording.marks
    assert 0 < marks["relay.asked"] <= marks["relay.asking"] <= marks["upstream.asked"]
    assert marks["upstream.asked"] <= curves["upstream.due"].at_ns[0]


@IN_PROCESS
def test_streams_side_by_side_get_their_own_taps(roles: Roles) -> None:
    async def main(lab: Lab) -> list[Recording]:
        return await asyncio.gather(*(ASK(lab, accept="sse", label=str(number)) for number in range(5)))

    with Lab(SCRIPT, roles=roles) as lab:
        recordings = run(main(lab))
    assert len({recording.headers["x-stream-id"] for recording in recordings}) == 5
    assert {curve.total for recording in recordings for curve in recording.curves().values()} == {len(SCRIPT.pieces)}


@EVERYWHERE
def test_a_stream_that_the_client_leaves_keeps_the_taps_there_are(roles: Roles) -> None:
    with Lab(slow_tap(), roles=roles) as lab:
        recording = run(ASK(lab, accept="sse", max_events=3))
    assert str(recording.outcome) == "cancelled(max_events)"
    assert recording.taps["upstream.due"].events[-1] == 1000
    assert 3 <= recording.taps["upstream.sent"].events[-1] < 1000
    assert recording.taps["relay.sent"].events[-1] >= 3


@EVERYWHERE
def test_a_refused_request_has_the_relays_marks_and_says_what_is_missing(roles: Roles) -> None:
    with Lab(SCRIPT, roles=roles) as lab:
        recording = run(lab.post("/ans", data={"another_field": "x"}))
    assert recording.outcome.name == "refused"
    assert recording.marks.keys() == {"relay.asked"}
    assert recording.meta["notes"] == ["no taps of this stream: upstream"]


def test_a_stream_that_never_answered_has_the_way_of_its_request() -> None:
    with Lab(Script(["a"], first_piece_ms=60_000)) as lab:
        recording = run(ASK(lab, total_s=0.2))
    assert str(recording.outcome) == "timeout(total)"
    assert recording.taps.keys() == {"upstream.due"}
    assert recording.marks.keys() == {"relay.asked", "relay.asking", "upstream.asked", "upstream.ended"}
    assert len(recording.meta["notes"]) == 0


def test_the_wait_for_taps_is_bounded_and_what_is_missing_is_noted() -> None:
    with Lab(SCRIPT) as lab:
        recording = run(ASK(lab))
        assert lab.upstream is not None
        assert lab.upstream.app is not None
        lab.upstream.app.ctx.sent[-1].ended_ns = None
        stream_id = recording.headers["x-stream-id"]
        found = run(_fetch(lab, stream_id))
    assert not found["upstream"].finished
    assert found["relay"].finished


async def _fetch(lab: Lab, stream_id: str) -> dict[str, Any]:
    async with lab._place.open() as (_, sources):
        return await fetching.finished_taps(sources, stream_id, 0.05)


def test_with_tracing_off_the_client_is_alone() -> None:
    with Lab(SCRIPT, trace=False) as lab:
        recording = run(ASK(lab))
    assert recording.text == SCRIPT.text
    assert not recording.taps


# --- One loop -------------------------------------------------------------------------------------------------------


def busy(seconds: float) -> Any:
    """A reader that computes for so long over each piece."""
    return lambda _: time.sleep(seconds)


def test_on_one_loop_a_busy_client_makes_the_upstream_late_and_the_verdict_says_so() -> None:
    script = Script(["x"] * 40, first_piece_ms=20, gap_ms=5)
    worst = {}
    trust = {}
    roles: Roles
    for roles in ("one loop", "processes"):
        with Lab(script, roles=roles) as lab:
            recording = run(ASK(lab, accept="sse", on_piece=busy(0.02)))
        late_ns = np.asarray(recording.taps["upstream.sent"].at_ns) - np.asarray(recording.taps["upstream.due"].at_ns)
        worst[roles], trust[roles] = int(np.median(late_ns)), recording.trust
    assert worst["one loop"] > 2 * worst["processes"]
    assert trust["one loop"].level != "good"
    assert any("the upstream sent" in reason for reason in trust["one loop"].reasons)


def test_on_one_loop_nothing_runs_between_two_posts() -> None:
    with Lab(SCRIPT, roles="one loop") as lab:

        async def main() -> tuple[Recording, set[asyncio.Task[Any]]]:
            recording = await ASK(lab)
            await asyncio.sleep(0.05)  # closed connections see their end in the loop's next turns
            return recording, asyncio.all_tasks() - {asyncio.current_task()}

        for _ in range(2):  # each run() is a loop of its own
            recording, tasks = run(main())
            assert recording.outcome.ok
            assert tasks == set()
        assert (lab.relay, lab.upstream) == (None, None)


def test_on_one_loop_a_cancelled_post_takes_its_servers_along() -> None:
    async def main(lab: Lab) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ASK(lab), 0.3)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not lab._place._pairs  # type: ignore[union-attr]  # one loop

    with Lab(slow_tap(), roles="one loop") as lab:
        run(main(lab))


def test_on_one_loop_a_server_that_cannot_start_leaves_nothing() -> None:
    async def main(lab: Lab) -> None:
        with pytest.raises(ServerError, match="ConfigError"):
            await ASK(lab)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with Lab(SCRIPT, roles="one loop", idle_s=-1) as lab:
        run(main(lab))


# --- The network ----------------------------------------------------------------------------------------------------


class _Served(NamedTuple):
    factory: Mapping[str, Any]
    options: Mapping[str, Any]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[_Served]:
    """What serve() was asked for, the upstream first; nothing is started."""
    asked: list[_Served] = []

    def serve_nothing(factory: functools.partial[Any], **options: Any) -> Any:
        asked.append(_Served(factory.keywords, options))
        return SimpleNamespace(url="http://127.0.0.1:1")

    monkeypatch.setattr(lab_module, "serve", serve_nothing)
    return asked


def test_a_networks_buffers_are_set_at_both_servers(served: list[_Served]) -> None:
    small = NETWORKS["small-buffers"]
    lab = Lab(SCRIPT, network="small-buffers", gauge_ms=5)
    upstream, relay = served
    assert lab.network is small
    assert upstream.factory == {"send_buffer_bytes": 4096, "write_buffer_bytes": 0, "gauge_ms": 5}
    assert small.settings().items() <= relay.factory.items()
    assert relay.factory["gauge_ms"] == 5
    assert upstream.options["unix"] is relay.options["unix"] is True


def test_loopback_is_the_network_that_is_not_named(served: list[_Served]) -> None:
    assert Lab(SCRIPT).network is NETWORKS["loopback-tcp"]
    assert NETWORKS["loopback-tcp"].settings().items() <= served[1].factory.items()
    assert not served[0].options["unix"]


def test_settings_of_ones_own_are_the_relays_whatever_the_network(served: list[_Served]) -> None:
    own = Network("mine", send_buffer_bytes=8192, receive_buffer_bytes=8192)
    Lab(SCRIPT, network=own, send_buffer_bytes=16_384)
    upstream, relay = served
    assert (upstream.factory["send_buffer_bytes"], relay.factory["send_buffer_bytes"]) == (8192, 16_384)
    assert relay.factory["receive_buffer_bytes"] == 8192


def test_gauges_can_be_switched_off_and_go_off_at_the_relay_with_its_taps(served: list[_Served]) -> None:
    Lab(SCRIPT, gauge_ms=0)
    Lab(SCRIPT, trace=False)
    assert [factory["gauge_ms"] for factory, _ in served] == [0, 0, 20, 0]


@EVERYWHERE
def test_over_small_buffers_all_of_the_text_comes(roles: Roles) -> None:
    script = Script(["床前明月光，" * 500] * 20, first_piece_ms=0, gap_ms=0)  # much more than all buffers together hold
    with Lab(script, roles=roles, network="small-buffers") as lab:
        assert repr(lab) == f"<Lab running, {roles}, small-buffers: a script of 20 pieces>"
        recordings = [run(ASK(lab, accept=accept)) for accept in ("text", "sse")]
    for recording in recordings:
        assert recording.outcome.ok
        assert recording.text == script.text
        assert recording.taps.keys() == set(FOREIGN_TAPS)


def test_an_upstream_of_ones_own_listens_where_the_network_says() -> None:
    with Lab(upstream=functools.partial(create_upstream, SCRIPT), network="small-buffers") as lab:
        assert lab.upstream is not None
        assert lab.upstream.unix
        assert run(ASK(lab)).text == SCRIPT.text


def test_the_upstreams_gauges_are_those_of_its_stream() -> None:
    with Lab(SCRIPT, gauge_ms=1) as lab:
        recording = run(ASK(lab))
        found = run(_fetch(lab, recording.headers["x-stream-id"]))
    gauges = found["upstream"].gauges
    assert gauges is not None
    assert {"upstream.buffer", "upstream.unsent", "upstream.wrote"} == gauges.columns.keys()
    assert gauges.columns["upstream.wrote"][-1] > SIZE


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("latest", "backpressure=latest"),
        ("buffer(65536)", 'backpressure="buffer(65536)"'),
        ("disconnect(after_s=0.5)", 'backpressure="disconnect(0.5)"'),
        (Policy("coalesce"), "backpressure=coalesce"),
    ],
)
def test_a_policy_is_a_preference_of_the_request(policy: str | Policy, told: str) -> None:
    assert lab_module._headers(None, None, policy) == {"prefer": told}


def test_a_policy_comes_before_other_preferences_which_stay() -> None:
    given = [("prefer", "wait=1"), ("Prefer", "backpressure=pause")]
    assert lab_module._headers(given, None, "latest")["prefer"] == "backpressure=latest, wait=1, backpressure=pause"


# --- Links ----------------------------------------------------------------------------------------------------------

APART = pytest.mark.parametrize("roles", ["threads", "processes"])


def no_taps_of(recording: Recording) -> list[str]:
    return [note for note in recording.meta["notes"] if note.startswith("no taps")]


def least_delay_ms(recording: Recording, before: str, after: str) -> float:
    """The least that any event took from one tap to another."""
    curves = recording.curves("events")
    at_ns = [np.repeat(curves[tap].at_ns, np.diff(curves[tap].count, prepend=0)) for tap in (before, after)]
    return float((at_ns[1] - at_ns[0]).min()) / 1e6


@APART
def test_a_link_is_seen_in_its_hop_and_in_no_other(roles: Roles) -> None:
    with Lab(SCRIPT, roles=roles, upstream_link=[Latency(60)], client_link=[Latency(120), Slice(7)]) as lab:
        recording = run(ASK(lab, accept="sse"))
        assert lab.upstream_link is not None
        assert lab.client_link is not None
        assert lab.upstream_link.carried.down > SIZE
        assert lab.client_link.carried.down > SIZE
    assert recording.text == SCRIPT.text
    assert recording.taps.keys() == set(FOREIGN_TAPS)
    assert least_delay_ms(recording, "upstream.due", "relay.read") >= 60
    assert least_delay_ms(recording, "relay.event", "relay.send") < 60
    assert least_delay_ms(recording, "relay.send", "client.read") >= 120


def test_links_are_there_only_where_they_are_asked_for() -> None:
    with Lab(SCRIPT) as lab:
        assert (lab.upstream_link, lab.client_link) == (None, None)
    with Lab(SCRIPT, upstream_link=False, client_link=True) as lab:
        assert lab.upstream_link is None
        assert lab.client_link is not None
        assert lab.client_link.down == ()
        assert run(ASK(lab)).outcome.ok


def test_a_link_can_be_changed_between_posts_and_in_both_directions() -> None:
    with Lab(SCRIPT, client_link=True) as lab:
        assert lab.client_link is not None
        assert run(ASK(lab)).outcome.ok
        lab.client_link.down = [Cut(after_bytes=400, how="rst")]
        assert run(ASK(lab, accept="sse")).outcome.name == "truncated"
        lab.client_link.down = []
        lab.client_link.up = [Blackhole()]
        assert str(run(ASK(lab, total_s=0.2)).outcome) == "timeout(total)"
        lab.client_link.up = []
        assert run(ASK(lab)).outcome.ok


@APART
def test_taps_are_had_directly_and_not_through_a_link(roles: Roles) -> None:
    cut = [Cut(after_bytes=400)]
    with Lab(SCRIPT, roles=roles, client_link=cut, upstream_link=True) as lab:
        recording = run(ASK(lab, accept="sse"))
        assert recording.outcome.name == "truncated"
        assert recording.taps["relay.send"].events[-1] > 0
        assert recording.taps["upstream.sent"].events[-1] > 0
        assert not no_taps_of(recording)


def test_an_upstream_elsewhere_is_reached_through_a_link() -> None:
    make = functools.partial(create_upstream, SCRIPT)
    with serve(make) as elsewhere, Lab(upstream=f"{elsewhere.url}/v1/chat", upstream_link=[Latency(1)]) as lab:
        assert run(ASK(lab)).text == SCRIPT.text
        assert lab.upstream_link is not None
        assert lab.upstream_link.carried.down > SIZE


def test_an_outage_of_the_upstream_is_the_relays_answer() -> None:
    with Lab(SCRIPT, upstream_link=True) as lab:
        assert lab.upstream_link is not None
        lab.upstream_link.refuse()
        assert run(ASK(lab)).outcome.name == "refused"
        lab.upstream_link.accept()
        assert run(ASK(lab)).outcome.ok


def test_a_stop_with_links_lets_a_stream_end_within_the_grace() -> None:
    async def main(lab: Lab) -> Recording:
        begun = asyncio.Event()
        asking = asyncio.create_task(ASK(lab, accept="sse", on_piece=lambda _: begun.set()))
        await begun.wait()
        await asyncio.to_thread(lab.stop, 10)
        return await asking

    script = Script(["x"] * 20, first_piece_ms=0, gap_ms=20)
    links: list[Toxic] = [Latency(20)]
    recording = run(main(Lab(script, upstream_link=links, client_link=links)))
    assert recording.text == script.text


def test_a_lab_with_links_that_nobody_keeps_stops() -> None:
    Lab(SCRIPT, upstream_link=True, client_link=True)
    gc.collect()
    assert eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("streamkit")])


# --- A relay of somebody else's -------------------------------------------------------------------------------------


def make_naive(url: str, *, passes_id: bool = False) -> Sanic[Any, Any]:
    """It sends on whatever comes, and knows nothing of taps."""
    app: Sanic[Any, Any] = Sanic("naive", configure_logging=False)

    @app.post("/ans")
    async def answer(request: Request) -> None:
        headers = {"x-stream-id": request.headers["x-stream-id"]} if passes_id else {}
        response = await request.respond(content_type="text/plain")
        async with httpx2.AsyncClient(trust_env=False) as client, client.stream("POST", url, headers=headers) as stream:
            async for chunk in stream.aiter_raw():
                await response.send(chunk)

    return app


def make_naive_that_passes_the_id(url: str) -> Sanic[Any, Any]:
    return make_naive(url, passes_id=True)


@APART
def test_a_relay_of_somebody_elses_has_no_taps_and_all_else_works(roles: Roles) -> None:
    with Lab(SCRIPT, roles=roles, relay=make_naive_that_passes_the_id, upstream_link=[Latency(40)]) as lab:
        assert repr(lab) == f"<Lab running, {roles}: a script of 12 pieces, a relay of its own>"
        recording = run(ASK(lab))
    assert recording.outcome.ok
    assert recording.taps.keys() == {"upstream.due", "upstream.sent"}
    assert not no_taps_of(recording)


@pytest.mark.parametrize("relay", [make_naive, make_naive_that_passes_the_id])
def test_without_a_stream_id_the_upstreams_taps_are_those_of_the_only_stream(relay: Any) -> None:
    async def together(lab: Lab) -> list[Recording]:
        return list(await asyncio.gather(ASK(lab), ASK(lab)))

    with Lab(SCRIPT, relay=relay) as lab:
        alone = [run(ASK(lab)) for _ in range(2)]
        both = run(together(lab))
    for recording in alone:
        assert recording.outcome.ok
        assert recording.taps["upstream.sent"].at_ns[0] > 0
        assert not no_taps_of(recording)
    known = relay is not make_naive
    assert [bool(recording.taps) for recording in both] == [known, known]
    assert [no_taps_of(recording) for recording in both] == [[] if known else ["no taps of this stream: upstream"]] * 2


def test_on_one_loop_a_relay_of_somebody_elses_serves_too() -> None:
    with Lab(SCRIPT, roles="one loop", relay=make_naive_that_passes_the_id) as lab:
        recording = run(ASK(lab))
    assert recording.outcome.ok
    assert recording.taps.keys() == {"upstream.due", "upstream.sent"}


# --- What goes in ---------------------------------------------------------------------------------------------------


def test_the_relay_reads_what_the_script_speaks() -> None:
    with Lab(Script("床前明月光", first_piece_ms=0, gap_ms=1, preset="openai"), model="m") as lab:
        assert run(ASK(lab)).text == "床前明月光"
    with Lab(Script("床前明月光", first_piece_ms=0, gap_ms=1, preset="openai"), model="m", preset="anthropic") as lab:
        assert not run(ASK(lab)).outcome.ok


def test_settings_are_the_relays() -> None:
    with Lab(Script(["a"], first_piece_ms=60_000), first_piece_s=0.1) as lab:
        assert str(run(ASK(lab)).outcome) == "refused(504)"


def test_options_of_record_and_form_fields_go_where_they_belong() -> None:
    heard: list[str] = []
    with Lab(SCRIPT) as lab:
        recording = run(
            lab.post(chat_history="你好", label="first", on_piece=heard.append, headers={"accept": "text/plain"})
        )
        assert lab.upstream is not None
        assert lab.upstream.app is not None
        assert lab.upstream.app.ctx.sent[-1].asked
        as_json = run(lab.post(json={"chat_history": "你好"}))
    assert recording.label == "first"
    assert "".join(heard) == SCRIPT.text
    assert as_json.outcome.ok


def test_an_upstream_of_ones_own_may_be_a_factory_or_run_elsewhere() -> None:
    make = functools.partial(create_upstream, SCRIPT)
    with Lab(upstream=make) as lab:
        assert lab.script is None
        assert repr(lab) == "<Lab running, threads: an upstream of its own>"
        assert run(ASK(lab)).taps.keys() == set(FOREIGN_TAPS)
    with serve(make) as elsewhere, Lab(upstream=elsewhere.url) as lab:
        assert lab.upstream is None
        recording = run(ASK(lab))
        assert recording.text == SCRIPT.text
        assert {name.partition(".")[0] for name in recording.taps} == {"relay"}
        lab.stop()
        assert elsewhere.running


@pytest.mark.parametrize("isolated", [False, True])
def test_an_upstream_that_keeps_no_taps_is_no_fault(isolated: bool) -> None:
    with Lab(upstream=make_app, isolated=isolated) as lab:
        recording = run(ASK(lab))
    assert recording.outcome.name == "refused"
    assert recording.meta["notes"] == ["no taps of this stream: upstream"]


def test_taps_of_another_clock_are_left_out_and_the_recording_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a monotonic clock is each process's own, as outside Linux, there is nothing to subtract."""
    with Lab(SCRIPT, isolated=True) as lab:
        monkeypatch.setattr("streamkit.lab.recording.origin.clock_origin", lambda: "process-0123456789abcdef")
        recording = run(ASK(lab))
    assert recording.text == SCRIPT.text
    assert not recording.taps
    assert [note.partition(": ")[0] for note in recording.meta["notes"][-2:]] == [
        "the taps of upstream cannot be joined",
        "the taps of relay cannot be joined",
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"roles": "fibres"}, ConfigError, "expected roles as 'threads', 'processes' or 'one loop'"),
        ({"roles": "one loop", "isolated": True}, TypeError, "isolated=True is short for"),
        ({"roles": "one loop", "loop": "uvloop"}, ConfigError, "expected no loop="),
        ({"loop": "libev"}, ConfigError, "expected loop="),
        ({"script": SCRIPT, "upstream": make_app}, TypeError, "got both"),
        ({"upstream": 5}, TypeError, "expected a factory"),
        (
            {"isolated": True, "transport": threading.Lock()},
            TypeError,
            "expected transport as a value that can be given",
        ),
        ({"idle_s": -1}, ServerError, "expected idle_s as seconds"),
        ({"preset": "opnai"}, ServerError, "opnai"),
        ({"network": "wifi"}, ConfigError, "out of loopback-tcp, small-buffers, got 'wifi'"),
        ({"gauge_ms": -1}, ServerError, "expected gauge_ms as milliseconds"),
        ({"upstream_link": Latency(1)}, TypeError, "upstream_link: expected a sequence of toxics"),
        ({"client_link": [5]}, TypeError, "client_link: expected toxics"),
        ({"client_link": True, "idle_s": -1}, ServerError, "expected idle_s as seconds"),
        ({"upstream": "https://127.0.0.1", "upstream_link": True}, ConfigError, "not https"),
        ({"roles": "one loop", "client_link": True}, ConfigError, "expected no links with roles='one loop'"),
        ({"network": "small-buffers", "upstream_link": []}, ConfigError, "whose hops are unix sockets: a link is TCP"),
        ({"relay": "http://127.0.0.1"}, TypeError, "expected relay as a callable that gets the upstream's URL"),
        ({"relay": make_naive, "idle_s": 2}, TypeError, "expected no settings of our relay .* got idle_s"),
        ({"relay": make_naive, "preset": "openai"}, TypeError, "expected no settings of our relay .* got preset"),
        ({"relay": make_naive, "trace": False}, TypeError, "expected no settings of our relay .* got trace"),
        ({"relay": lambda _: 5}, ServerError, "expected a Sanic app from the factory, got a value of type 'int'"),
        ({"relay": lambda _: 5, "isolated": True}, TypeError, "needs a factory that a new process can import"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Lab(**arguments)
    assert servers() == []


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"path": "ans"}, ValueError, "expected the path"),
        ({"accept": "json"}, ValueError, "expected accept as a media type, or one of text, sse, ndjson"),
        ({"on_peice": print}, TypeError, "expected the form field 'on_peice' as text or a number"),
        ({"method": print}, TypeError, "method"),
        ({"policy": "hurry"}, ConfigError, "expected a policy"),
        ({"preset": "opnai"}, UnknownPreset, "opnai"),
    ],
)
def test_a_post_that_makes_no_sense_is_refused(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with Lab(SCRIPT) as lab, pytest.raises(error, match=text):
        run(lab.post(**arguments))


# --- Its life -------------------------------------------------------------------------------------------------------


@EVERYWHERE
def test_after_stop_it_says_what_to_do(roles: Roles) -> None:
    lab = Lab(SCRIPT, roles=roles)
    lab.stop()
    lab.stop()
    with pytest.raises(ServerError, match="this Lab was stopped: make a new one"):
        run(ASK(lab))
    assert repr(lab) == f"<Lab stopped, {roles}: a script of 12 pieces>"


def test_isolated_is_a_process_for_each_server() -> None:
    with Lab(SCRIPT, isolated=True) as lab:
        assert lab.roles == "processes"
        pids = [server.process.pid for server in (lab.upstream, lab.relay) if server is not None and server.process]
        assert len(set(pids) - {os.getpid()}) == 2
    assert not any(alive(pid) for pid in pids)


def test_several_labs_live_side_by_side() -> None:
    other = Script(["another"], first_piece_ms=0)
    with Lab(SCRIPT) as one, Lab(other) as two:
        assert (run(ASK(one)).text, run(ASK(two)).text) == (SCRIPT.text, "another")


@pytest.mark.parametrize("isolated", [False, True])
def test_a_lab_that_nobody_keeps_stops(isolated: bool) -> None:
    Lab(SCRIPT, isolated=isolated)
    gc.collect()
    assert eventually(lambda: servers() == [])
    assert eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("streamkit")])


def test_a_cell_run_again_replaces_its_lab(shell: FakeShell) -> None:
    shell.user_ns["Lab"] = Lab
    for _ in range(3):
        shell.run("lab = Lab(); kept.append(lab)")
    labs: list[Lab] = shell.user_ns["kept"]
    assert [lab.relay.running for lab in labs if lab.relay] == [False, False, True]
    assert [lab.upstream.running for lab in labs if lab.upstream] == [False, False, True]
    shell.run("kept.append(Lab())  # another cell")
    assert len(servers()) == 4


def test_it_works_with_async_with_and_inside_a_running_loop() -> None:
    async def main() -> Recording:
        async with Lab(SCRIPT) as lab:
            return await ASK(lab)

    assert run(main()).text == SCRIPT.text
    assert servers() == []


def test_ctrl_c_during_the_start_of_the_relay_stops_the_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    whole = serve
    calls = iter([whole, interrupted])
    monkeypatch.setattr(lab_module, "serve", lambda *args, **options: next(calls)(*args, **options))
    with pytest.raises(KeyboardInterrupt):
        Lab(SCRIPT)
    assert servers() == []


def test_ctrl_c_during_a_stop_still_stops_both() -> None:
    lab = Lab(slow_tap())
    assert lab.relay is not None
    stop_relay = lab.relay.stop

    def interrupted(grace_s: float | None = None) -> None:
        stop_relay(grace_s)
        signal.raise_signal(signal.SIGINT)

    lab.relay.stop = interrupted  # type: ignore[method-assign]  # Ctrl-C in the middle of it
    with pytest.raises(KeyboardInterrupt):
        lab.stop()
    assert servers() == []


def test_a_stop_ends_the_streams_that_are_open() -> None:
    async def main(lab: Lab) -> Recording:
        asking = asyncio.create_task(ASK(lab, accept="sse"))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(lab.stop, 0)
        return await asking

    lab = Lab(slow_tap())
    begin = time.monotonic()
    recording = run(main(lab))
    assert time.monotonic() - begin < QUICK_S
    assert recording.meta["server_outcome"] == "cancelled(shutdown)"
    assert recording.taps["relay.sent"].events[-1] > 0
