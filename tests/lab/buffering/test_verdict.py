"""Which layer holds bytes back: a right name or none, whatever the probes of an endpoint told. No clock runs here."""

from __future__ import annotations

import pytest

from streamkit.lab.buffering.layers import Layer as Known
from streamkit.lab.buffering.probes import Differs, Probed, probed
from streamkit.lab.buffering.verdict import Buffering, name_buffering
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from tests.lab.findings.held import (
    Layer,
    Sent,
    every,
    head_start,
    in_bursts,
    late,
    packed,
    portions,
    recorded,
    steady,
    whole,
)

NGINX, CADDY = {"server": "nginx/1.22.1"}, {"server": "Caddy"}
HAPROXY = Known("HAProxy", "its own page")
BUFFER = portions(4096, first=3792)
FAST = steady()


def plain(
    *layers: Layer, sent: Sent = FAST, headers: dict[str, str] | None = None, told: bool = True, lag_ms: float = 0
) -> Probed:
    recording = recorded(sent, *layers, told=told, headers=headers or {}, lag_ms=lag_ms)
    return probed("plain", "plain", recording)


def other(differs: Differs, *layers: Layer, sent: Sent = FAST, headers: dict[str, str] | None = None) -> Probed:
    return probed(differs, differs, recorded(sent, *layers, told=False, headers=headers or {}))


def coded(came: list[float], headers: dict[str, str] | None = None, body: bytes = b"") -> Probed:
    return probed("as a browser asks", "codings", packed(FAST, came, body=body, headers=headers or {}))


AT_THE_END = [FAST[-1][0] + 1]
AS_IT_CAME = [at for at, _ in FAST]
OF_GO = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def found(*probes: Probed, refusals: list[Known] | None = None) -> tuple[str, str]:
    told = name_buffering(probes, refusals or [])
    return told.layer, told.mechanism


def test_a_stream_that_comes_as_it_was_sent_is_held_by_nobody() -> None:
    assert found(plain(headers=NGINX), plain(headers=NGINX)) == ("none", "none found")


@pytest.mark.parametrize(
    ("layer", "headers", "refusals", "told"),
    [
        (BUFFER, NGINX, [], ("nginx", "response buffer of 4,096 bytes")),
        (portions(8192), NGINX, [], ("nginx", "response buffer of 8,192 bytes")),
        (every(200), {}, [HAPROXY], ("HAProxy", "released every 200 ms")),
        (head_start(15_000), {}, [HAPROXY], ("HAProxy", "the first 15,200 bytes")),
        (head_start(8192), CADDY, [], ("Caddy", "the first 8,400 bytes")),
        (whole, CADDY, [], ("Caddy", "whole answer")),
    ],
)
def test_each_layer_is_named_by_how_it_holds(
    layer: Layer, headers: dict[str, str], refusals: list[Known], told: tuple[str, str]
) -> None:
    probe = plain(layer, headers=headers)
    assert found(probe, probe, refusals=refusals) == told


@pytest.mark.parametrize(
    ("layer", "headers", "refusals"),
    [
        (BUFFER, {}, []),  # nobody is seen who does
        (BUFFER, CADDY, []),  # Caddy does not hold like that
        (every(200), NGINX, []),  # nor nginx
        (every(400), {}, [HAPROXY]),  # nor HAProxy
        (whole, {}, [HAPROXY]),
        (whole, NGINX, []),  # behind nginx there may be a Caddy that cannot be seen
        (head_start(8192), NGINX, [HAPROXY]),
        (head_start(8192), CADDY, [HAPROXY]),  # both do
        (whole, {"server": "Caddy, nginx/1.22.1"}, []),
        (whole, CADDY, [HAPROXY]),  # of a HAProxy with large buffers nothing is known
        (BUFFER, {"server": "cloudflare, nginx"}, []),  # nor of how others hold
        (BUFFER, {"via": "1.1 varnish", **NGINX}, []),
    ],
)
def test_no_layer_is_named_that_may_be_innocent(layer: Layer, headers: dict[str, str], refusals: list[Known]) -> None:
    probe = plain(layer, headers=headers)
    assert found(probe, probe, refusals=refusals)[0] == "unknown"


def test_where_nobody_looked_who_refuses_a_haproxy_may_stand_there_unseen() -> None:
    probe = plain(head_start(8192), headers=CADDY)
    assert name_buffering([probe, probe], None).layer == "unknown"
    assert name_buffering([probe, probe], []).layer == "Caddy"


def test_portions_in_the_rhythm_of_haproxy_may_be_several_of_a_smaller_buffer() -> None:
    both = plain(every(200), BUFFER, headers=NGINX)
    told = name_buffering([both, both], [HAPROXY])
    assert (told.layer, told.mechanism) == ("unknown", "unknown")
    assert told.sentence.startswith("Bytes are held back on the way: ")


def test_one_that_asked_for_codings_and_got_none_counts_as_plain() -> None:
    free, held = plain(headers=NGINX), plain(every(100), headers=NGINX)
    bare = probed("as a browser asks", "codings", recorded(FAST, headers=NGINX))
    assert found(free, bare, held) == ("none", "none found")


# --- Compression ----------------------------------------------------------------------------------------------------


def test_what_streams_until_it_is_encoded_is_held_by_a_compressor() -> None:
    probe = plain(headers=NGINX)
    told = name_buffering([probe, coded(AT_THE_END, NGINX), probe], [])
    assert (told.layer, told.mechanism) == ("nginx", "compression (gzip)")
    assert (
        told.sentence == "nginx keeps text back in a compressor; a client that accepts no coding gets it as it comes."
    )
    assert told.advice == "`gzip off;` in that location (docs/operating.md)"


def test_a_compressor_that_flushes_holds_nothing() -> None:
    probe = plain(headers=NGINX)
    assert found(probe, coded(AS_IT_CAME, NGINX), probe) == ("none", "none found")


def test_the_gzip_of_go_is_caddys_and_no_nginxs() -> None:
    probe = plain(headers=CADDY)
    assert found(probe, coded(AT_THE_END, CADDY, OF_GO), probe)[0] == "Caddy"
    assert found(probe, coded(AT_THE_END, CADDY), probe)[0] == "unknown"
    silenced = plain(headers=NGINX)
    assert found(silenced, coded(AT_THE_END, NGINX, OF_GO), silenced)[0] == "unknown"


def test_haproxy_says_of_each_answer_that_it_varies_so_what_does_not_is_nginxs() -> None:
    probe = plain(headers=NGINX)
    varies = {**NGINX, "vary": "Accept-Encoding"}
    assert found(probe, coded(AT_THE_END, NGINX), probe, refusals=[HAPROXY])[0] == "nginx"
    assert found(probe, coded(AT_THE_END, varies), probe, refusals=[HAPROXY])[0] == "unknown"
    assert found(probe, coded(AT_THE_END, varies), probe)[0] == "nginx"


def test_codings_that_none_of_the_three_has_are_of_an_unknown_layer() -> None:
    probe = plain(headers=NGINX)
    br = probed("as a browser asks", "codings", packed(FAST, AT_THE_END, "br", headers=NGINX))
    assert found(probe, br, probe) == ("unknown", "compression (br)")


# --- What only looks like a buffer ----------------------------------------------------------------------------------


def test_a_source_that_pauses_is_no_buffer_where_its_taps_say_so() -> None:
    probe = plain(sent=in_bursts(), headers=NGINX)
    assert found(probe, probe, refusals=[HAPROXY]) == ("none", "none found")


@pytest.mark.parametrize("layers", [[every(200)], [whole], [head_start(8192)]])
def test_without_them_a_source_that_pauses_and_a_layer_that_holds_are_the_same(layers: list[Layer]) -> None:
    paused = plain(sent=in_bursts(), headers=NGINX, told=False)
    held = plain(*layers, headers=NGINX, told=False)
    for probe in (paused, held):
        told = name_buffering([probe, probe], [HAPROXY])
        assert (told.layer, told.mechanism) == ("unknown", "unknown")
        assert "it is not known whether" in told.sentence.lower()
        assert "--trace" in told.advice


def test_releases_inside_of_events_are_a_buffers_but_whose_may_be_the_servers_own() -> None:
    probe = plain(BUFFER, headers=NGINX, told=False)
    told = name_buffering([probe, probe], [])
    assert (told.layer, told.mechanism) == ("unknown", "response buffer of 4,096 bytes")
    assert "22 of 22 releases end inside an event" in told.evidence[0]
    assert "if it is nginx: `proxy_buffering off;`" in told.advice


def test_a_client_that_was_busy_is_no_buffer() -> None:
    busy = plain(every(100), headers=NGINX, lag_ms=90)
    assert found(busy, busy, refusals=[HAPROXY]) == ("unknown", "unknown")


def test_what_comes_late_but_one_by_one_is_no_buffer() -> None:
    def narrow(sent: Sent) -> Sent:
        return [(at * 1.5, data) for at, data in sent]

    slow = plain(narrow, headers=NGINX)
    told = name_buffering([slow, slow], [])
    assert (told.layer, told.mechanism) == ("unknown", "unknown")
    assert "as through a slow network" in told.sentence


def test_a_far_network_is_no_buffer() -> None:
    near, far = plain(late(30), headers=NGINX), plain(late(300), headers=NGINX)
    assert found(near, near) == ("none", "none found")
    assert found(far, far) == ("unknown", "unknown")


def test_an_answer_that_fits_into_any_buffer_tells_nothing_but_that_it_was_held() -> None:
    few = plain(whole, sent=steady(40), headers=CADDY)
    told = name_buffering([few, few], [])
    assert (told.layer, told.mechanism) == ("unknown", "unknown")
    assert told.sentence == (
        "Bytes are held back on the way: the answer is too short to tell how: 16,000 bytes fit into many a buffer."
    )
    assert "probe=" in told.advice


def test_plain_probes_that_do_not_agree_tell_nothing_and_two_of_three_do() -> None:
    free, held = plain(headers=NGINX), plain(BUFFER, headers=NGINX)
    assert found(free, held) == ("unknown", "unknown")
    assert found(free, held, free) == ("none", "none found")
    assert found(free, held, held)[0] == "nginx"


def test_the_pattern_that_most_of_them_show_is_the_one() -> None:
    often, once = plain(every(200)), plain(every(400))
    told = name_buffering([often, probed("as a browser asks", "codings", recorded(FAST, whole)), often], [HAPROXY])
    assert (told.layer, told.mechanism) == ("HAProxy", "released every 200 ms")
    assert found(often, once, refusals=[HAPROXY]) == ("unknown", "unknown")


# --- Around the layers, and other words -----------------------------------------------------------------------------


def test_asked_around_the_layers_the_server_shows_what_it_does_itself() -> None:
    held = plain(BUFFER, headers=NGINX, told=False)
    assert found(held, other("direct"), held)[0] == "nginx"
    for layer, mechanism in ((whole, "whole answer"), (head_start(8192), "the first 8,400 bytes")):
        probe = plain(layer, headers=CADDY, told=False)
        assert found(probe, other("direct"), probe) == ("Caddy", mechanism)
    paused = plain(sent=in_bursts(), headers=NGINX, told=False)
    told = name_buffering([paused, other("direct", sent=in_bursts()), paused], [])
    assert (told.layer, told.kind) == ("none", "server")
    assert "the server itself" in told.sentence


def test_whoever_is_seen_around_the_layers_too_belongs_to_the_server() -> None:
    lump = plain(whole, headers={"server": "cloudflare, nginx"}, told=False)
    assert found(lump, other("direct", headers=NGINX), lump) == ("Cloudflare", "whole answer")


def test_only_nginx_listens_to_x_accel_buffering() -> None:
    lump = plain(whole, headers=NGINX, told=False)
    assert found(lump, other("unbuffered", headers=NGINX), lump) == ("nginx", "whole answer")
    assert found(lump, other("unbuffered", whole, headers=NGINX), lump) == ("unknown", "unknown")


def test_a_proxy_that_refuses_to_stream_says_who_it_is() -> None:
    refused = Recording(status=501, outcome=Outcome("refused", "501"))
    told = name_buffering([probed("plain", "plain", refused, refused="cdn.example")], [])
    assert (told.layer, told.kind) == ("cdn.example", "refused")
    assert "refuses a request that asks for more (RFC 10036)" in told.sentence


@pytest.mark.parametrize(
    ("headers", "layer"),
    [
        ({"x-cache": "HIT", **NGINX}, "nginx"),
        ({"cf-cache-status": "HIT", "cf-ray": "x"}, "Cloudflare"),
        ({"x-cache": "Hit from cloudfront", "x-amz-cf-id": "x", **NGINX}, "unknown"),
    ],
)
def test_a_copy_is_no_stream(headers: dict[str, str], layer: str) -> None:
    copy = plain(whole, headers=headers)
    told = name_buffering([plain(), copy], [])
    assert (told.layer, told.mechanism) == (layer, "a cache")


def test_two_answers_of_one_stream_are_a_copy() -> None:
    same = {"x-stream-id": "same", **NGINX}
    one, at_once = plain(headers=same, told=False), plain(whole, headers=same, told=False)
    assert found(one, at_once) == ("nginx", "a cache")
    assert found(at_once, at_once) == ("nginx", "a cache")
    quickly = plain(headers=same, sent=steady(gap_ms=1.0), told=False)
    assert found(one, quickly) == ("nginx", "a cache")
    aged = plain(headers={**same, "age": "3"})
    told = name_buffering([one, aged], [])
    assert (told.mechanism, told.evidence[0]) == (
        "a cache",
        "2 probes were answered with the same X-Stream-Id, plain with Age: 3",
    )


def test_answers_of_one_name_that_stream_are_no_copies() -> None:
    one = plain(headers={"x-stream-id": "same", **NGINX})
    assert found(one, one, one) == ("none", "none found")


def test_an_endpoint_that_does_not_answer_is_unknown() -> None:
    refused = Recording(outcome=Outcome("refused", "connect"), error="no connection: nobody listens there")
    gone = probed("plain", "plain", refused)
    told = name_buffering([gone], [])
    assert (told.layer, told.mechanism) == ("unknown", "unknown")
    assert "refused(connect)" in told.sentence
    assert told.evidence == ("no connection: nobody listens there",)
    assert told.advice == "ask so that it answers: check the URL, the method, the body, the key"  # and of no layer
    with pytest.raises(ValueError, match="at least one probe"):
        name_buffering([])


# --- How it is shown ------------------------------------------------------------------------------------------------


def result() -> Buffering:
    probe = plain(BUFFER, headers={**NGINX, "via": "<script>"})
    return name_buffering([probe, coded(AT_THE_END), probe], [HAPROXY])


def test_it_is_a_sentence_a_row_for_each_probe_the_evidence_and_what_mends_it() -> None:
    lines = str(result()).splitlines()
    assert lines[0] == "nginx holds text back until it has 4,096 bytes of it."
    assert [line.partition("  ")[0] for line in lines[1:4]] == ["plain", "as a browser asks", "plain"]
    assert "4,096 bytes at a time, 11 of 11 times inside an event" in lines[1]
    assert "* nginx is on the way: Server: nginx/1.22.1" in lines
    assert any(line.startswith("* from upstream.sent to client.read half of the events took 40 ms") for line in lines)
    assert lines[-1].startswith("* to do: `proxy_buffering off;`")
    assert repr(result()) == "<Buffering by nginx: response buffer of 4,096 bytes>"
    assert repr(name_buffering([plain(), plain()])) == "<Buffering: none found>"


def test_what_comes_from_outside_is_escaped_in_a_notebook() -> None:
    shown = result()._repr_html_()
    assert shown.count("<tr>") == 3
    assert "<caption>nginx holds text back" in shown
    assert "<script>" not in shown
