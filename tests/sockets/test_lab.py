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
from urllib.parse import unquote_plus

import numpy as np
import pytest
from sanic import HTTPResponse, Request, Sanic
from sanic.response import text

from streamkit.errors import ConfigError, ServerError, UnknownPreset
from streamkit.lab import lab as lab_module
from streamkit.lab.client import joining as fetching
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
APART = pytest.mark.parametrize("roles", ["threads", "processes"])
IN_PROCESS = pytest.mark.parametrize("roles", ["threads", "one loop"])


def slow_tap() -> Script:
    """A stream of a minute, to be left before its end."""
    return Script(["x"] * 1000, first_piece_ms=0, gap_ms=60)


@pytest.mark.parametrize("spoken", ["vllm", "sglang-generate"])
def test_a_lab_speaks_any_preset_also_one_that_needs_a_model_and_one_that_repeats_its_text(spoken: str) -> None:
    with Lab(Script(["床前", "床前", "明月光"], first_piece_ms=0, gap_ms=0, preset=spoken), roles="one loop") as lab:
        recording = run(lab.ask("hi"))
    assert (str(recording.outcome), recording.text) == ("complete", "床前床前明月光")


# --- The join -------------------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """What one lab told, by what it was asked for: servers take seconds to start, in a process."""

    lab: Lab
    as_: Mapping[str | None, Recording]
    refused: Recording
    pids: set[int]


@functools.cache
def told(roles: Roles) -> Told:
    with Lab(SCRIPT, roles=roles) as lab:
        recordings = {accept: run(lab.ask("你好", accept=accept)) for accept in (None, "text", "sse", "ndjson")}
        refused = run(lab.post("/ans", data={"another_field": "x"}))
        servers = [server for server in (lab.upstream, lab.relay) if server is not None]
        pids = {server.process.pid if server.process is not None else os.getpid() for server in servers}
    return Told(lab, recordings, refused, pids)


@EVERYWHERE
def test_every_tap_has_every_piece_whatever_is_spoken(roles: Roles) -> None:
    recordings = list(told(roles).as_.values())
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
    recording = told(roles).as_["sse"]
    curves = recording.curves("events")
    for before, after in ORDERS:
        passed = np.repeat(curves[before].at_ns, np.diff(curves[before].count, prepend=0))
        seen = np.repeat(curves[after].at_ns, np.diff(curves[after].count, prepend=0))
        assert (passed <= seen).all(), f"{after} saw an event that {before} had not"
    marks = recording.marks
    assert 0 < marks["relay.asked"] <= marks["relay.asking"] <= marks["upstream.asked"]
    assert marks["upstream.asked"] <= curves["upstream.due"].at_ns[0]


@EVERYWHERE
def test_a_refused_request_has_the_relays_marks_and_misses_nothing_of_an_upstream_that_was_not_asked(
    roles: Roles,
) -> None:
    recording = told(roles).refused
    assert recording.outcome.name == "refused"
    assert recording.marks.keys() == {"relay.asked"}
    assert not recording.meta.get("notes")


@EVERYWHERE
def test_the_relays_own_word_is_there_when_the_post_returns(roles: Roles) -> None:
    for recording in told(roles).as_.values():
        assert recording.relay is not None
        assert (str(recording.relay.outcome), recording.relay.code) == ("complete", "")
    refused = told(roles).refused
    assert refused.relay is not None
    assert str(refused.relay.outcome) == str(refused.outcome)


@EVERYWHERE
def test_after_stop_it_says_what_to_do(roles: Roles) -> None:
    lab = told(roles).lab
    lab.stop()
    with pytest.raises(ServerError, match="this Lab was stopped: make a new one"):
        run(lab.ask("你好"))
    assert repr(lab) == f"<Lab stopped, {roles}: a script of 12 pieces>"


def test_where_they_run_is_what_roles_say() -> None:
    assert told("threads").pids == {os.getpid()}
    assert told("one loop").pids == set(), "they live during a post"
    assert len(told("processes").pids - {os.getpid()}) == 2
    assert not any(alive(pid) for pid in told("processes").pids)


@IN_PROCESS
def test_streams_side_by_side_get_their_own_taps(roles: Roles) -> None:
    async def main(lab: Lab) -> list[Recording]:
        return await asyncio.gather(*(lab.ask("你好", accept="sse", label=str(number)) for number in range(5)))

    with Lab(SCRIPT, roles=roles) as lab:
        recordings = run(main(lab))
    assert len({recording.headers["x-stream-id"] for recording in recordings}) == 5
    assert {curve.total for recording in recordings for curve in recording.curves().values()} == {len(SCRIPT.pieces)}


@EVERYWHERE
def test_a_stream_that_the_client_leaves_keeps_the_taps_there_are(roles: Roles) -> None:
    with Lab(slow_tap(), roles=roles) as lab:
        recording = run(lab.ask("你好", accept="sse", max_events=3))
    assert str(recording.outcome) == "cancelled(max_events)"
    assert recording.taps["upstream.due"].events[-1] == 1000
    assert 3 <= recording.taps["upstream.sent"].events[-1] < 1000
    assert recording.taps["relay.sent"].events[-1] >= 3


def test_a_stream_that_never_answered_has_the_way_of_its_request() -> None:
    with Lab(Script(["a"], first_piece_ms=60_000)) as lab:
        recording = run(lab.ask("你好", total_s=0.2))
    assert str(recording.outcome) == "timeout(total)"
    assert recording.taps.keys() == {"upstream.due"}
    assert recording.marks.keys() == {"relay.asked", "relay.asking", "upstream.asked", "upstream.ended"}
    assert len(recording.meta["notes"]) == 0


async def _fetch(lab: Lab, stream_id: str) -> dict[str, Any]:
    async with lab._place.open() as (_, sources):
        return await fetching.finished_taps(sources, stream_id, 0.05)


def test_with_tracing_off_the_client_is_alone() -> None:
    with Lab(SCRIPT, trace=False) as lab:
        recording = run(lab.ask("你好"))
    assert recording.text == SCRIPT.text
    assert not recording.taps


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
        recordings = [run(lab.ask("你好", accept=accept)) for accept in ("text", "sse")]
    for recording in recordings:
        assert recording.outcome.ok
        assert recording.text == script.text
        assert recording.taps.keys() == set(FOREIGN_TAPS)


def test_an_upstream_of_ones_own_listens_where_the_network_says() -> None:
    with Lab(upstream=functools.partial(create_upstream, SCRIPT), network="small-buffers") as lab:
        assert lab.upstream is not None
        assert lab.upstream.unix
        assert run(lab.ask("你好")).text == SCRIPT.text


def test_the_upstreams_gauges_are_those_of_its_stream() -> None:
    with Lab(SCRIPT, gauge_ms=1) as lab:
        recording = run(lab.ask("你好"))
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
    assert lab_module._headers(None, policy) == {"prefer": told}


def test_a_policy_comes_before_other_preferences_which_stay() -> None:
    given = [("prefer", "wait=1"), ("Prefer", "backpressure=pause")]
    assert lab_module._headers(given, "latest")["prefer"] == "backpressure=latest, wait=1, backpressure=pause"


# --- Links ----------------------------------------------------------------------------------------------------------


def no_taps_of(recording: Recording) -> list[str]:
    return [note for note in recording.meta["notes"] if note.startswith("no taps")]


def least_delay_ms(recording: Recording, before: str, after: str) -> float:
    """The least that any event took from one tap to another."""
    curves = recording.curves("events")
    at_ns = [np.repeat(curves[tap].at_ns, np.diff(curves[tap].count, prepend=0)) for tap in (before, after)]
    return float((at_ns[1] - at_ns[0]).min()) / 1e6


@functools.cache
def linked(roles: Roles) -> tuple[Recording, Recording]:
    """Through two slow links; and through one that is cut, of the same lab."""
    with Lab(SCRIPT, roles=roles, upstream_link=[Latency(60)], client_link=[Latency(120), Slice(7)]) as lab:
        slow = run(lab.ask("你好", accept="sse"))
        assert lab.upstream_link is not None
        assert lab.client_link is not None
        assert lab.upstream_link.carried.down > SIZE
        assert lab.client_link.carried.down > SIZE
        lab.client_link.down = [Cut(after_bytes=400)]
        return slow, run(lab.ask("你好", accept="sse"))


@APART
def test_a_link_is_seen_in_its_hop_and_in_no_other(roles: Roles) -> None:
    recording, _ = linked(roles)
    assert recording.text == SCRIPT.text
    assert recording.taps.keys() == set(FOREIGN_TAPS)
    assert least_delay_ms(recording, "upstream.due", "relay.read") >= 60
    assert least_delay_ms(recording, "relay.event", "relay.send") < 60
    assert least_delay_ms(recording, "relay.send", "client.read") >= 120


@APART
def test_taps_are_had_directly_and_not_through_a_link(roles: Roles) -> None:
    _, recording = linked(roles)
    assert recording.outcome.name == "truncated"
    assert recording.taps["relay.send"].events[-1] > 0
    assert recording.taps["upstream.sent"].events[-1] > 0
    assert not no_taps_of(recording)


def test_links_are_there_only_where_they_are_asked_for() -> None:
    with Lab(SCRIPT) as lab:
        assert (lab.upstream_link, lab.client_link) == (None, None)
    with Lab(SCRIPT, upstream_link=False, client_link=True) as lab:
        assert lab.upstream_link is None
        assert lab.client_link is not None
        assert lab.client_link.down == ()
        assert run(lab.ask("你好")).outcome.ok


def test_a_link_can_be_changed_between_posts_and_in_both_directions() -> None:
    with Lab(SCRIPT, client_link=True) as lab:
        assert lab.client_link is not None
        assert run(lab.ask("你好")).outcome.ok
        lab.client_link.down = [Cut(after_bytes=400, how="rst")]
        assert run(lab.ask("你好", accept="sse")).outcome.name == "truncated"
        lab.client_link.down = []
        lab.client_link.up = [Blackhole()]
        assert str(run(lab.ask("你好", total_s=0.2)).outcome) == "timeout(total)"
        lab.client_link.up = []
        assert run(lab.ask("你好")).outcome.ok


def test_an_upstream_elsewhere_is_reached_through_a_link() -> None:
    make = functools.partial(create_upstream, SCRIPT)
    with serve(make) as elsewhere, Lab(upstream=f"{elsewhere.url}/v1/chat", upstream_link=[Latency(1)]) as lab:
        assert run(lab.ask("你好")).text == SCRIPT.text
        assert lab.upstream_link is not None
        assert lab.upstream_link.carried.down > SIZE


def test_an_outage_of_the_upstream_is_the_relays_answer() -> None:
    with Lab(SCRIPT, upstream_link=True) as lab:
        assert lab.upstream_link is not None
        lab.upstream_link.refuse()
        assert run(lab.ask("你好")).outcome.name == "refused"
        lab.upstream_link.accept()
        assert run(lab.ask("你好")).outcome.ok


def test_a_stop_with_links_lets_a_stream_end_within_the_grace() -> None:
    async def main(lab: Lab) -> Recording:
        begun = asyncio.Event()
        asking = asyncio.create_task(lab.ask("你好", accept="sse", on_piece=lambda _: begun.set()))
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


# --- What goes in ---------------------------------------------------------------------------------------------------


def test_the_relay_reads_what_the_script_speaks() -> None:
    with Lab(Script("床前明月光", first_piece_ms=0, gap_ms=1, preset="openai"), model="m") as lab:
        assert run(lab.ask("你好")).text == "床前明月光"
    with Lab(Script("床前明月光", first_piece_ms=0, gap_ms=1, preset="openai"), model="m", preset="anthropic") as lab:
        assert not run(lab.ask("你好")).outcome.ok


def test_settings_are_the_relays() -> None:
    with Lab(Script(["a"], first_piece_ms=60_000), first_piece_s=0.1) as lab:
        assert str(run(lab.ask("你好")).outcome) == "refused(504)"


def asked_for(lab: Lab) -> list[str]:
    """The forms and bodies that somebody else's relay got."""
    assert lab.relay is not None
    assert lab.relay.app is not None
    return lab.relay.app.ctx.bodies  # type: ignore[no-any-return]  # Sanic's context has no types


def make_listener(_: str) -> Sanic[Any, Any]:
    """A relay that keeps what it is asked."""
    app: Sanic[Any, Any] = Sanic("listener", configure_logging=False)
    app.ctx.bodies = []

    @app.post("/<path:path>")
    async def answer(request: Request, path: str) -> HTTPResponse:
        request.app.ctx.bodies.append(f"{path} {unquote_plus(request.body.decode())}")
        return text("heard")

    return app


def test_the_question_and_other_fields_are_a_form_and_options_are_records() -> None:
    heard: list[str] = []
    with Lab(SCRIPT, relay=make_listener) as lab:
        first = run(lab.post(chat_history="你好", label="first", on_piece=heard.append))
        run(lab.post("/ans", chat_history="hi", data={"label": "a field", "json": 1}))
        run(lab.post("/ans", data={"chat_history": "hi"}))
        run(lab.post("/ans", json={"chat_history": "你好"}))
        run(lab.ask("hi", "/other", accept="sse"))
        assert asked_for(lab) == [
            "ans chat_history=你好",
            "ans label=a field&json=1&chat_history=hi",
            "ans chat_history=hi",
            'ans {"chat_history":"你好"}',
            "other chat_history=hi",
        ]
    assert first.label == "first"
    assert heard == ["heard"]


@IN_PROCESS
def test_once_makes_a_lab_asks_and_leaves_nothing(roles: Roles) -> None:
    recording = run(Lab.once(SCRIPT, accept="sse", roles=roles))
    assert recording.text == SCRIPT.text
    assert recording.taps.keys() == set(FOREIGN_TAPS)
    assert servers() == []


def test_once_takes_the_arguments_of_a_lab_and_options_of_the_post() -> None:
    silent = Script(["a"], first_piece_ms=60_000)
    assert str(run(Lab.once(silent, first_piece_s=0.1)).outcome) == "refused(504)"
    assert str(run(Lab.once(silent, "hi", post={"total_s": 0.1})).outcome) == "timeout(total)"
    assert run(Lab.once(SCRIPT, relay=make_listener)).text == "heard"
    with pytest.raises(TypeError, match="unknown option 'tottal_s'"):
        run(Lab.once(SCRIPT, post={"tottal_s": 1}))


def test_an_upstream_of_ones_own_may_be_a_factory_or_run_elsewhere() -> None:
    make = functools.partial(create_upstream, SCRIPT)
    with Lab(upstream=make) as lab:
        assert lab.script is None
        assert repr(lab) == "<Lab running, threads: an upstream of its own>"
        assert run(lab.ask("你好")).taps.keys() == set(FOREIGN_TAPS)
    with serve(make) as elsewhere, Lab(upstream=elsewhere.url) as lab:
        assert lab.upstream is None
        recording = run(lab.ask("你好"))
        assert recording.text == SCRIPT.text
        assert {name.partition(".")[0] for name in recording.taps} == {"relay"}
        lab.stop()
        assert elsewhere.running


@APART
def test_an_upstream_that_keeps_no_taps_is_no_fault(roles: Roles) -> None:
    with Lab(upstream=make_app, roles=roles) as lab:
        recording = run(lab.ask("你好"))
    assert recording.outcome.name == "refused"
    assert recording.meta["notes"] == ["no taps of this stream: upstream"]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"roles": "fibres"}, ValueError, "expected roles as 'threads', 'processes' or 'one loop'"),
        ({"roles": "one loop", "loop": "uvloop"}, ValueError, "expected no loop="),
        ({"loop": "libev"}, ValueError, "expected loop="),
        ({"script": SCRIPT, "upstream": make_app}, TypeError, "got both"),
        ({"upstream": 5}, TypeError, "expected a factory"),
        (
            {"roles": "processes", "transport": threading.Lock()},
            TypeError,
            "expected transport as a value that can be given",
        ),
        ({"idel_s": 2}, TypeError, r"^unknown setting 'idel_s': did you mean 'idle_s'\?$"),
        ({"idel_s": 2, "roles": "processes"}, TypeError, r"^unknown setting 'idel_s': did you mean 'idle_s'\?$"),
        ({"netwrok": "small-buffers"}, TypeError, r"^unknown setting 'netwrok': did you mean 'network'\?$"),
        ({"modle": "x"}, TypeError, r"^unknown setting 'modle': did you mean 'model'\?$"),
        ({"idle_s": -1}, ConfigError, "expected idle_s as seconds"),
        ({"preset": "opnai"}, ServerError, "opnai"),
        ({"network": "wifi"}, ValueError, "out of loopback-tcp, small-buffers, got 'wifi'"),
        ({"idle_s": "3"}, ConfigError, "expected idle_s as seconds"),
        ({"max_streams": 1.5, "roles": "one loop"}, ConfigError, "expected max_streams as an integer"),
        ({"script": "Hello"}, TypeError, "expected script as a Script"),
        ({"gauge_ms": "20"}, TypeError, "expected gauge_ms as milliseconds"),
        ({"gauge_ms": float("nan"), "roles": "one loop"}, ValueError, "expected gauge_ms as milliseconds"),
        ({"gauge_ms": -1}, ValueError, "expected gauge_ms as milliseconds"),
        ({"upstream_link": Latency(1)}, TypeError, "upstream_link: expected a sequence of toxics"),
        ({"client_link": [5]}, TypeError, "client_link: expected toxics"),
        ({"client_link": True, "preset": "opnai"}, ServerError, "opnai"),
        ({"upstream": "https://127.0.0.1", "upstream_link": True}, ValueError, "not https"),
        ({"roles": "one loop", "client_link": True}, ValueError, "expected no links with roles='one loop'"),
        ({"network": "small-buffers", "upstream_link": []}, ValueError, "whose hops are unix sockets: a link is TCP"),
        ({"relay": "http://127.0.0.1"}, TypeError, "expected relay as a callable that gets the upstream's URL"),
        ({"relay": make_listener, "idle_s": 2}, TypeError, "expected no settings of our relay .* got idle_s"),
        ({"relay": make_listener, "preset": "openai"}, TypeError, "expected no settings of our relay .* got preset"),
        ({"relay": make_listener, "trace": False}, TypeError, "expected no settings of our relay .* got trace"),
        ({"relay": lambda _: 5}, ServerError, "expected a Sanic app from the factory, got a value of type 'int'"),
        ({"relay": lambda _: 5, "roles": "processes"}, TypeError, "needs a factory that a new process can import"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Lab(**arguments)
    assert servers() == []


def test_a_forgotten_preset_is_what_the_recording_names() -> None:
    with (
        serve(functools.partial(create_upstream, Script("Hi", preset="streamkit"))) as own,
        Lab(upstream=own.url, preset="openai") as lab,
    ):
        one = asyncio.run(lab.ask("hi"))
    assert one.meta["server_outcome"] == "error_event(upstream_empty)"
    assert one.error == (
        "the server answered with status 502: upstream_empty: the upstream's answer ended, and held not one event of "
        "its preset; the relay's log says why: these events look like streamkit's, not openai's: "
        "give preset='streamkit' (--preset streamkit)"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"path": "ans"}, ValueError, "expected the path"),
        ({"accept": "json"}, ValueError, "expected accept as a media type, or one of text, sse, ndjson"),
        ({"acept": "sse"}, TypeError, "unknown option 'acept': did you mean 'accept'\\? form fields go into data="),
        ({"on_peice": print}, TypeError, "unknown option 'on_peice': did you mean 'on_piece'"),
        ({"total": 3}, TypeError, "unknown option 'total': did you mean 'total_s'"),
        ({"temperature": 3}, TypeError, "unknown option 'temperature': form fields go into data="),
        ({"method": "GET"}, TypeError, "unknown option 'method'"),
        ({"taps": True}, TypeError, "unknown option 'taps'"),
        ({"chat_history": 5}, TypeError, "expected chat_history as text, got int: other fields go into data="),
        ({"chat_history": "hi", "json": {}}, TypeError, "json"),
        ({"policy": "hurry"}, ValueError, "expected a policy"),
        ({"taps_wait_s": "1"}, TypeError, "expected taps_wait_s as seconds"),
        ({"total_s": -1}, ValueError, "expected total_s as seconds"),
        ({"preset": "opnai"}, UnknownPreset, "opnai"),
    ],
)
def test_a_post_that_makes_no_sense_is_refused(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with Lab(SCRIPT) as lab, pytest.raises(error, match=text):
        run(lab.post(**arguments))


# --- Its life -------------------------------------------------------------------------------------------------------


def test_several_labs_live_side_by_side() -> None:
    other = Script(["another"], first_piece_ms=0)
    with Lab(SCRIPT) as one, Lab(other) as two:
        assert (run(one.ask("你好")).text, run(two.ask("你好")).text) == (SCRIPT.text, "another")


@APART
def test_a_lab_that_nobody_keeps_stops(roles: Roles) -> None:
    Lab(SCRIPT, roles=roles)
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
            return await lab.ask("你好")

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
        asking = asyncio.create_task(lab.ask("你好", accept="sse"))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(lab.stop, 0)
        return await asking

    lab = Lab(slow_tap())
    begin = time.monotonic()
    recording = run(main(lab))
    assert time.monotonic() - begin < QUICK_S
    assert recording.meta["server_outcome"] == "cancelled(shutdown)"
    assert recording.taps["relay.sent"].events[-1] > 0
