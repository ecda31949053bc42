"""Lab: a scripted upstream, the relay and a client in one object, and what each of them saw in one Recording.

    with Lab(Script(gap_ms=20)) as lab:
        recording = await lab.post("/ans", chat_history="你好", accept="sse")
    recording.taps["relay.sent"]

Two arguments decide what you compare: `relay=` says whose relay it is (ours, or a factory of somebody else's), and
`roles=` where the three run, which may itself be the subject of an experiment:

"threads"     upstream and relay have a thread and an event loop each; the client is on the caller's loop. All share one
              interpreter lock: while one computes, the others wait.
"processes"   upstream and relay have a process each.
"one loop"    all three are on the caller's loop, for as long as a `post()` takes. It shows what this does to a
              measurement: while the client works, the upstream cannot send, and only its schedule shows that
              (coordinated omission: G. Tene, "How NOT to Measure Latency"). `recording.trust` says so.

A bad network can be put between them, in a thread of its own (`streamkit.lab.net.link`):

    Lab(script, upstream_link=[Latency(200)], client_link=[Cut(after_bytes=500, how="rst")])

    upstream ── upstream_link ── relay ── client_link ── client
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import httpx2

from streamkit.errors import ServerError
from streamkit.lab.arguments import check_number
from streamkit.lab.client.kept import LAST
from streamkit.lab.client.record import record
from streamkit.lab.net import Link, Network
from streamkit.lab.net.toxics import Toxic, check_toxics
from streamkit.lab.places import Apart, Links, MakeRelay, Open, RelayFactory, Together, check_relay_names, is_url
from streamkit.lab.server_taps import TAPS_WAIT_S, joined, seen_so_far
from streamkit.lab.under_way import completed_by
from streamkit.lab.upstream import Script, create_upstream
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.settings import options, settings_from
from streamkit.serving.factory import check_factory
from streamkit.serving.runner import Stoppable, pickled
from streamkit.serving.server import Server, serve
from streamkit.taps import STREAM_ID_HEADER, new_stream_id

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from streamkit.lab.recording.recording import Recording
    from streamkit.presets import PresetLike
    from streamkit.serving.factory import Factory

__all__ = ["Lab", "Roles"]

Roles: TypeAlias = Literal["threads", "processes", "one loop"]

DEFAULT_NETWORK: Final = "loopback-tcp"
_OWN: Final = {"url", "method", "taps"}  # which a Lab joins by itself
_RECORDS: Final = tuple(name for name in inspect.signature(record).parameters if name not in _OWN)


class Lab(Stoppable):
    """A scripted upstream, the relay and a client, started and stopped together.

        with sk.Lab(sk.Script(gap_ms=20), idle_s=2) as lab:
            recording = await lab.ask("你好", accept="sse")

    It runs until `stop()`, the end of its `with` block, or until it is garbage-collected. In IPython, running a cell
    again stops the labs that its earlier run made.

    script      what the upstream says, and when; `sk.Script()` if nothing is given
    preset      the provider's format by which the relay reads the upstream: a name or a `Preset`; by default the
                script's
    roles       where the three run. "threads" (the default): upstream and relay have a thread each. "processes": a
                process each. "one loop": all on the caller's loop, which distorts the measurement, to show how
    upstream    instead of a script: a factory of a Sanic app, or the URL of a server that is running elsewhere
    network     what both hops go over: "loopback-tcp" (the default), "small-buffers" (unix sockets that hold a few kB,
                the same number of bytes each time), or a `sk.net.Network`. An upstream of your own sets its buffers
                itself; then the network's apply at the relay's end only
    upstream_link, client_link
                a bad network between upstream and relay, or between relay and client: a list of toxics (`sk.net`) for
                the direction of the answer, or True for a link that does nothing yet. The attributes of the same names
                are the `Link`s, which can be changed while they run; their `.up` is the direction of the request
    relay       somebody else's relay instead of ours: a callable that gets the upstream's URL and returns a Sanic app.
                It has no taps. Those of the upstream are found by the X-Stream-Id header that the client sends: if the
                relay does not pass it on there are none, and `meta["notes"]` says so
    gauge_ms    how often upstream, relay and client look at their queues (20); 0 switches the gauges off
    loop        "uvloop", "asyncio" or "auto" (the default): the event loops of upstream and relay
    settings    settings of `create_app`: `idle_s=2`, `max_streams=100`, `key=…`, `policy="latest"`; `trace=False`
                switches the taps off. Buffer sizes given here override the network's

    Raises TypeError for arguments that exclude each other, for a setting that does not exist, for settings beside a
    `relay` of your own, and for values that cannot be sent to another process; ValueError for an unknown value of
    `roles`, `network` or `loop`, for links in one loop (a link needs a thread beside it) and for links between unix
    sockets (a link is TCP, whose buffers vary from run to run); ConfigError (a ValueError) for a setting that makes no
    sense; ServerError when a server cannot start.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        preset: PresetLike | None = None,
        roles: Roles = "threads",
        upstream: Factory | None = None,
        network: str | Network = DEFAULT_NETWORK,
        upstream_link: bool | Sequence[Toxic] | None = None,
        client_link: bool | Sequence[Toxic] | None = None,
        relay: RelayFactory | None = None,
        gauge_ms: float = 20,
        loop: str = "auto",
        **settings: Any,
    ) -> None:
        if script is not None and not isinstance(script, Script):
            raise TypeError(f"expected script as a Script, such as Script('Hello'), got {script!r}")
        if script is not None and upstream is not None:
            raise TypeError("expected a script or an upstream of your own, got both")
        self.roles: Roles = _check_roles(roles)
        self.network = Network.of(network)
        links = Links(_toxics("upstream_link", upstream_link), _toxics("client_link", client_link))
        _check_links(links, self.roles, self.network)
        check_number("gauge_ms", gauge_ms, "milliseconds")
        self.gauge_ms = gauge_ms
        self.script = None if upstream is not None else script or Script()
        if relay is None:
            _check_settings(settings)
            spoken = preset or (self.script.preset if self.script is not None else None)
            settings = {"trace": True, "preset": spoken, **self.network.settings(), **settings}
            if self.script is not None:
                settings = {"model": "script"} | settings  # it answers for any, and some presets have no default
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
                raise ValueError(f"expected no loop= with roles='one loop', which is the caller's, got {loop!r}")
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
        """The handle of the relay's server: `lab.relay.url`. None in one loop, where it runs only during a `post()`."""
        return self._place.relay

    @property
    def upstream(self) -> Server | None:
        """The handle of the upstream's server: `lab.upstream.url`. None in one loop, and for an upstream elsewhere."""
        return self._place.upstream

    @property
    def upstream_link(self) -> Link | None:
        """The link between upstream and relay, None without one: `lab.upstream_link.down = [sk.net.Latency(200)]`."""
        return self._place.upstream_link

    @property
    def client_link(self) -> Link | None:
        """The link between relay and client, None without one: `lab.client_link.cut("rst")`."""
        return self._place.client_link

    @classmethod
    async def once(
        cls,
        script: Script | None = None,
        chat_history: str = "hi",
        *,
        accept: str | None = None,
        post: Mapping[str, Any] | None = None,
        **lab: Any,
    ) -> Recording:
        """Make a lab, ask it once, stop it, and return the recording: for comparisons with a lab for each stream.

            recording = await sk.Lab.once(sk.Script(gap_ms=20), accept="sse", relay=sk.experiments.naive.stock)

        `script` and `chat_history` are what is said and asked. `lab` are further arguments of a Lab, such as `relay=`
        or `idle_s=2`; `post` is a dict of further options of `post()`: `post={"total_s": 0.3}`. Making a lab blocks and
        takes most of the time: if streams may share one, ask it several times instead. Raises what making a Lab and
        `post()` raise.
        """
        async with cls(script, **lab) as made:
            return await made.ask(chat_history, accept=accept, **(post or {}))

    async def ask(self, chat_history: str, path: str = "/ans", **options: Any) -> Recording:
        """Ask the relay a question and record the answer: `post()` with this `chat_history`.

            recording = await lab.ask("你好", accept="sse", reader=sk.Reader(bytes_per_s=1500))

        `path` is the relay's route, "/ans" by default; `options` are those of `post()`. Raises what `post()` raises.
        """
        return await self.post(path, chat_history=chat_history, **options)

    async def post(
        self,
        path: str = "/ans",
        *,
        chat_history: str | None = None,
        data: Mapping[str, Any] | None = None,
        accept: str | None = None,
        policy: str | Policy | None = None,
        headers: Any = None,
        taps_wait_s: float | None = TAPS_WAIT_S,
        **options: Any,
    ) -> Recording:
        """POST to the relay and record the answer, with the taps of upstream and relay joined to it.

            recording = await lab.post("/ans", chat_history="你好", accept="sse", total_s=10)

        path          the relay's route
        chat_history  the question; sent as a form field, together with those of `data`
        data          further form fields
        accept        a media type, or short for one: "text", "sse", "ndjson". Without it the relay chooses: text/plain,
                      which has no event borders
        policy        what the relay should do if this client cannot keep up: "latest", "buffer(65536)". Sent as
                      `Prefer: backpressure=…` (RFC 7240)
        headers       further request headers; an `X-Stream-Id` among them is kept, otherwise one is made up
        taps_wait_s   how long upstream and relay may take to see the end of the stream too, before their taps are
                      joined. None: without taps; `join()` can add them later
        options       options of `record()`: `json` instead of a form, `content` for an upload
                      (`Lab(uses="upload")`: `lab.post("/upload", content=rows)`), `reader`, `on_piece`, `label`,
                      `total_s`, …

        A failure on the wire is the recording's outcome, not an exception; its `error` ends with what the relay's log
        gives as the reason and no client is told (not with roles="processes"). Taps that are missing or incomplete are
        named in `meta["notes"]`.

        Raises ServerError after `stop()`, TypeError for an unknown option and for a `chat_history` that is no text,
        ValueError for a path, an `accept` or a policy that makes no sense, and what `record()` raises.
        """
        _check_options(options)
        if taps_wait_s is not None:
            check_number("taps_wait_s", taps_wait_s, "seconds")
        if self._stopped:
            raise ServerError("this Lab was stopped: make a new one")
        if not path.startswith("/"):
            raise ValueError(f"expected the path of the relay's route, such as '/ans', got {path!r}")
        options.setdefault("gauge_ms", self.gauge_ms)
        given = _headers(headers, policy)
        stream_id = given.setdefault(STREAM_ID_HEADER, new_stream_id())
        form = _form(chat_history, data)
        async with self.open() as (url, sources):
            near = {} if self.roles == "processes" else sources  # who is in this process is asked at once
            with completed_by(partial(seen_so_far, sources=near, stream_id=stream_id)):
                recording = await record(url + path, data=form, headers=given, accept=accept, **options)
            return recording if taps_wait_s is None else await self.join(recording, stream_id, taps_wait_s)

    def open(self) -> AbstractAsyncContextManager[Open]:
        """Keep the lab's servers open while the block runs: `async with lab.open() as (url, sources):`.

        `url` is where the relay is to be asked, `sources` are functions that fetch the taps of a stream, by server.
        It is only needed with roles="one loop", where the servers otherwise start and stop with each `post()`: open it
        once around several of them.
        """
        return self._place.open()

    async def join(self, recording: Recording, stream_id: str, wait_s: float = 0.0) -> Recording:
        """Add the taps of upstream and relay to a recording of this lab, and return the new recording.

            await lab.join(await lab.ask("hi", headers={"x-stream-id": mine}, taps_wait_s=None), mine)

        They know the stream by `stream_id`, the id that the client sent, and have `wait_s` seconds to see its end too.
        They remember only the last streams; what is missing is named in `meta["notes"]`.
        """
        async with self.open() as (_, sources):
            try:
                found = recording.headers.get(STREAM_ID_HEADER, stream_id)
                return LAST.keep(await joined(recording, sources, found, wait_s))
            except BaseException as error:
                LAST.carry(recording, error)  # rather without the taps of others than not at all
                raise

    def stop(self, grace_s: float | None = None) -> None:
        """Stop the relay, then upstream and links: `lab.stop()`. A second call does nothing.

        `grace_s` is how long streams that still run may take to end, as for `Server.stop`.
        """
        self._stopped = True
        self._place.stop(grace_s)

    def __repr__(self) -> str:
        source = "an upstream of its own" if self.script is None else f"a script of {len(self.script.pieces)} pieces"
        network = "" if self.network.name == DEFAULT_NETWORK else f", {self.network.name}"
        relay = "" if self._place.make_relay.own is None else ", a relay of its own"
        return f"<Lab {'stopped' if self._stopped else 'running'}, {self.roles}{network}: {source}{relay}>"


# --- What goes in ---------------------------------------------------------------------------------------------------


def _check_roles(roles: Roles) -> Roles:
    if roles not in get_args(Roles):
        raise ValueError(f"expected roles as 'threads', 'processes' or 'one loop', got {roles!r}")
    return roles


def _check_settings(settings: Mapping[str, Any]) -> None:
    """By the relay's own rules, but now: as an error of this call, and not of a server that could not start."""
    check_relay_names(settings, inspect.signature(Lab).parameters)
    numbers = {option.name for option in options()}
    settings_from({name: value for name, value in settings.items() if name in numbers}, {})


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
        raise ValueError(
            "expected no links with roles='one loop', where nothing runs beside the loop: a link has a thread of its "
            "own; take roles='threads'"
        )
    if network.unix:
        raise ValueError(
            f"expected no links with the network {network.name!r}, whose hops are unix sockets: a link is TCP, which "
            "does not hold the same to the byte; take network='loopback-tcp'"
        )


def _check_options(given: Iterable[str]) -> None:
    """Each is one of record()'s: what is misspelt would otherwise be lost without a word."""
    for name in given:
        if name not in _RECORDS:
            close = difflib.get_close_matches(name, [*_RECORDS, "chat_history", "policy", "taps_wait_s"], 1)
            hint = f": did you mean {close[0]!r}?" if close else ":"
            raise TypeError(f"unknown option {name!r}{hint} form fields go into data=")


def _form(chat_history: str | None, data: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if chat_history is None:
        return data
    if not isinstance(chat_history, str):
        raise TypeError(f"expected chat_history as text, got {type(chat_history).__name__}: other fields go into data=")
    return {**(data or {}), "chat_history": chat_history}


def _headers(headers: Any, policy: str | Policy | None) -> httpx2.Headers:
    given = httpx2.Headers(headers)
    if policy is not None:
        preferences = [_preference(Policy.of(policy)), *given.get_list("prefer")]
        given["prefer"] = ", ".join(preferences)  # the first of a name counts (RFC 7240 §2)
    return given


def _preference(policy: Policy) -> str:
    wanted = str(policy)
    return f"backpressure={wanted}" if wanted.isalpha() else f'backpressure="{wanted}"'  # a token, or quoted
