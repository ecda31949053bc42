"""Lab: a scripted upstream, the relay and a client in one object; what each of them saw, in one Recording.

    with Lab(Script(gap_ms=20)) as lab:
        recording = await lab.post("/ans", chat_history="你好", accept="sse")
    recording.taps["relay.sent"]

Where the three run can be what an experiment is about (`roles`):

"threads"     upstream and relay have a thread and a loop each, the client is on the caller's loop. All share one
              interpreter lock: while one computes, the others wait.
"processes"   upstream and relay have a process each.
"one loop"    all three are on the caller's loop, for as long as a `post()` takes. It shows what this does to a
              measurement: while the client works the upstream cannot send, and nobody but its schedule knows
              (coordinated omission: G. Tene, "How NOT to Measure Latency"). `recording.trust` tells.

Between them can be a bad network, in a thread of its own (`streamkit.lab.net.link`):

    Lab(script, upstream_link=[Latency(200)], client_link=[Cut(after_bytes=500, how="rst")])

    upstream ── upstream_link ── relay ── client_link ── client
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

import httpx2

from streamkit.errors import ConfigError, ServerError
from streamkit.lab.client.record import record
from streamkit.lab.net.buffers import Network
from streamkit.lab.net.buffers import network as find_network
from streamkit.lab.net.link import Link
from streamkit.lab.net.toxics import Toxic, check_toxics
from streamkit.lab.places import Apart, Links, MakeRelay, RelayFactory, Together, is_url
from streamkit.lab.server_taps import TAPS_WAIT_S, joined
from streamkit.lab.upstream.app import Script, create_upstream
from streamkit.relay.delivery.policy import Policy
from streamkit.serving.factory import check_factory
from streamkit.serving.runner import Stoppable, pickled
from streamkit.serving.server import Server, serve
from streamkit.taps import STREAM_ID_HEADER, new_stream_id

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording
    from streamkit.presets import Preset
    from streamkit.serving.factory import Factory

__all__ = ["Lab", "Roles"]

Roles: TypeAlias = Literal["threads", "processes", "one loop"]

ACCEPT: Final = {"text": "text/plain", "sse": "text/event-stream", "ndjson": "application/x-ndjson"}
DEFAULT_NETWORK: Final = "loopback-tcp"
_FIELD: Final = (str, int, float, type(None))
_OPTIONS: Final = frozenset(inspect.signature(record).parameters) - {"url", "method", "data", "headers"}


class Lab(Stoppable):
    """Upstream, relay and client. It lives until `stop()`, or until it is collected; also a context manager.

    script      what the upstream says and when; `preset`, by which the relay reads it, is the script's if not given
    roles       "threads", "processes" or "one loop", see the module; `isolated=True` is short for "processes"
    upstream    instead of the script: a factory of a Sanic app, or the URL of a server that is running elsewhere
    network     what both hops go over: "loopback-tcp", "small-buffers" (unix sockets that hold a few kB, the same to
                the byte each time), or a `Network`; see `streamkit.lab.net.buffers`. An upstream of your own sets its
                buffers itself: only those at the relay's end are the network's then
    upstream_link, client_link
                a bad network between upstream and relay, and between relay and client: toxics for the answer's
                direction, or True for a link without any. `lab.upstream_link` and `lab.client_link` are the `Link`s
                (None where there is none), to be changed while they run; their `.up` is the question's direction
    relay       instead of ours, somebody else's: a callable that gets the upstream's URL and returns a Sanic app. It
                has no taps. The upstream's are found by the X-Stream-Id that a relay passes on; with threads also
                without it, if the post is alone
    gauge_ms    how often upstream, relay and client look at their queues; 0 switches the gauges off
    loop        "uvloop", "asyncio" or "auto", for the loops of upstream and relay
    settings    those of `create_app`: `idle_s=2`, `max_streams=100`, `key=…`, `policy="latest"`, and the relay's
                buffers, if they are to be other than the network's; `trace=False` switches the taps off

    `.relay` and `.upstream` are the handles of the two servers (None in one loop, where they live only during a
    `post()`; and for an upstream elsewhere). In IPython, running a cell again stops the labs that its earlier run made.

    Raises TypeError for arguments that exclude each other, or cannot go to another process; ConfigError for an unknown
    value of `roles`, `network` or `loop`, and for links in one loop (nothing else is to run) or between unix sockets (a
    link is TCP, which does not hold the same to the byte); ServerError when a server cannot start, as for settings that
    make no sense.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        preset: str | Preset | None = None,
        roles: Roles | None = None,
        isolated: bool = False,
        upstream: Factory | None = None,
        network: str | Network = DEFAULT_NETWORK,
        upstream_link: bool | Sequence[Toxic] | None = None,
        client_link: bool | Sequence[Toxic] | None = None,
        relay: RelayFactory | None = None,
        gauge_ms: float = 20,
        loop: str = "auto",
        **settings: Any,
    ) -> None:
        if script is not None and upstream is not None:
            raise TypeError("expected a script or an upstream of your own, got both")
        self.roles: Roles = _roles(roles, isolated)
        self.network = find_network(network)
        links = Links(_toxics("upstream_link", upstream_link), _toxics("client_link", client_link))
        _check_links(links, self.roles, self.network)
        self.gauge_ms = gauge_ms
        self.script = None if upstream is not None else script or Script()
        if relay is None:
            spoken = preset or (self.script.preset if self.script is not None else None)
            settings = {"trace": True, "preset": spoken, **self.network.settings(), **settings}
            settings["gauge_ms"] = gauge_ms if settings["trace"] else 0  # they are kept with the taps
        else:
            _check_own_relay(relay, settings if preset is None else {"preset": preset, **settings})
        if self.roles == "processes":
            _check_portable({"script": self.script, **settings})
        make_relay = MakeRelay(relay, settings)
        factory = self._scripted() if upstream is None else upstream
        if not is_url(factory):
            check_factory(factory)
        self._stopped = False
        self._place: Apart | Together
        if self.roles == "one loop":
            if loop != "auto":
                raise ConfigError(f"expected no loop= with roles='one loop', which is the caller's, got {loop!r}")
            self._place = Together(factory, make_relay, unix=self.network.unix)
        else:
            start = partial(serve, process=self.roles == "processes", loop=loop, unix=self.network.unix)
            self._place = Apart(factory, make_relay, start, links)

    def _scripted(self) -> Factory:
        return partial(
            create_upstream,
            self.script,
            send_buffer_bytes=self.network.send_buffer_bytes,
            write_buffer_bytes=self.network.write_buffer_bytes,
            gauge_ms=self.gauge_ms,
        )

    @property
    def relay(self) -> Server | None:
        """The handle of the relay's server."""
        return self._place.relay

    @property
    def upstream(self) -> Server | None:
        """The handle of the upstream's server."""
        return self._place.upstream

    @property
    def upstream_link(self) -> Link | None:
        """The link between upstream and relay."""
        return self._place.upstream_link

    @property
    def client_link(self) -> Link | None:
        """The link between relay and client."""
        return self._place.client_link

    async def post(
        self,
        path: str = "/ans",
        *,
        accept: str | None = None,
        policy: str | Policy | None = None,
        headers: Any = None,
        data: Mapping[str, Any] | None = None,
        taps_wait_s: float = TAPS_WAIT_S,
        **fields_and_options: Any,
    ) -> Recording:
        """POST to the relay and record the answer, with the taps of upstream and relay joined to it.

        Keywords are form fields (`chat_history="你好"`), but those that `record()` knows (`json`, `reader`, `on_piece`,
        `total_s`, …) are its options; a field of such a name goes into `data`. `accept` is a media type, or short for
        one: "text", "sse", "ndjson"; without it the relay chooses (text/plain, which has no event borders). `policy` is
        what this request asks of the relay for a client that cannot keep up: "latest", "buffer(65536)" (`Prefer`,
        RFC 7240).

        What fails on the wire is the recording's outcome. Its taps are what there was: the servers have `taps_wait_s`
        to see the end too, and `meta["notes"]` says what is missing.

        Raises ServerError after `stop()`, TypeError for a field that is no text or number, ConfigError for a policy
        that makes no sense, and what `record()` raises.
        """
        if self._stopped:
            raise ServerError("this Lab was stopped: make a new one")
        if not path.startswith("/"):
            raise ValueError(f"expected the path of the relay's route, such as '/ans', got {path!r}")
        options = {name: value for name, value in fields_and_options.items() if name in _OPTIONS}
        options.setdefault("gauge_ms", self.gauge_ms)
        fields = {name: value for name, value in fields_and_options.items() if name not in _OPTIONS}
        for name, value in fields.items():
            if not isinstance(value, _FIELD):
                kind = type(value).__name__
                raise TypeError(f"expected the form field {name!r} as text or a number, got {kind}; or is it misspelt?")
        form = {**(data or {}), **fields} or None
        given = _headers(headers, accept, policy)
        stream_id = given.setdefault(STREAM_ID_HEADER, new_stream_id())
        async with self._place.open() as (url, sources):
            recording = await record(url + path, data=form, headers=given, **options)
            return await joined(recording, sources, recording.headers.get(STREAM_ID_HEADER, stream_id), taps_wait_s)

    def stop(self, grace_s: float | None = None) -> None:
        """Stop relay, upstream and links, the relay first; as `Server.stop`. Stopping again does nothing."""
        self._stopped = True
        self._place.stop(grace_s)

    def __repr__(self) -> str:
        source = "an upstream of its own" if self.script is None else f"a script of {len(self.script.pieces)} pieces"
        network = "" if self.network.name == DEFAULT_NETWORK else f", {self.network.name}"
        relay = "" if self._place.make_relay.own is None else ", a relay of its own"
        return f"<Lab {'stopped' if self._stopped else 'running'}, {self.roles}{network}: {source}{relay}>"


# --- What goes in ---------------------------------------------------------------------------------------------------


def _roles(roles: str | None, isolated: bool) -> Roles:
    if roles is not None and roles not in get_args(Roles):
        raise ConfigError(f"expected roles as 'threads', 'processes' or 'one loop', got {roles!r}")
    if isolated and roles not in (None, "processes"):
        raise TypeError(f"isolated=True is short for roles='processes', got roles={roles!r} too")
    return cast("Roles", roles or ("processes" if isolated else "threads"))


def _check_portable(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        try:
            pickled(value)
        except TypeError as error:
            raise TypeError(
                f"expected {name} as a value that can be given to another process (roles='processes'), got one of type "
                f"{type(value).__name__!r}; with roles='threads' it can be anything"
            ) from error


def _check_own_relay(relay: object, settings: Mapping[str, Any]) -> None:
    if not callable(relay):
        raise TypeError(
            "expected relay as a callable that gets the upstream's URL and returns a Sanic app, got one of type "
            f"{type(relay).__name__!r}"
        )
    if settings:
        names = ", ".join(settings)
        raise TypeError(f"expected no settings of our relay beside relay=, which is another one, got {names}")


def _toxics(name: str, given: bool | Sequence[Toxic] | None) -> tuple[Toxic, ...] | None:
    """None: no link."""
    if given is None or given is False:
        return None
    try:
        return () if given is True else check_toxics(given)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def _check_links(links: Links, roles: Roles, network: Network) -> None:
    """Where a link would break what the roles or the network promise."""
    if links.upstream is None and links.client is None:
        return
    if roles == "one loop":
        raise ConfigError(
            "expected no links with roles='one loop', where nothing runs beside the loop: a link has a thread of its "
            "own; take roles='threads'"
        )
    if network.unix:
        raise ConfigError(
            f"expected no links with the network {network.name!r}, whose hops are unix sockets: a link is TCP, which "
            "does not hold the same to the byte; take network='loopback-tcp'"
        )


def _headers(headers: Any, accept: str | None, policy: str | Policy | None) -> httpx2.Headers:
    given = httpx2.Headers(headers)
    if accept is not None:
        if accept not in ACCEPT and "/" not in accept:
            raise ValueError(f"expected accept as a media type, or one of {', '.join(ACCEPT)}, got {accept!r}")
        given["accept"] = ACCEPT.get(accept, accept)
    if policy is not None:
        preferences = [_preference(Policy.of(policy)), *given.get_list("prefer")]
        given["prefer"] = ", ".join(preferences)  # the first of a name counts (RFC 7240 §2)
    return given


def _preference(policy: Policy) -> str:
    wanted = str(policy)
    return f"backpressure={wanted}" if wanted.isalpha() else f'backpressure="{wanted}"'  # a token, or quoted
