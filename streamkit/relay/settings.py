"""Every deadline and limit of the relay: a field here, an option on the command line, an environment variable.

`Deadlines.idle_s` is `--idle-s 2` and `STREAMKIT_IDLE_S=2`; `Limits.max_streams` is `--max-streams 100` and
`STREAMKIT_MAX_STREAMS=100`. The options and variables are derived from the fields, so the three cannot drift apart.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple, TypedDict

from streamkit.errors import ConfigError

__all__ = [
    "DEFAULTS",
    "BodyBounds",
    "Buffers",
    "Deadlines",
    "Limits",
    "Option",
    "Resuming",
    "Retries",
    "Settings",
    "Shipped",
    "Tracing",
    "UploadBounds",
    "check_names",
    "flag",
    "options",
    "settings_from",
]

ENV_PREFIX = "STREAMKIT_"
MAX_RETRIES: Final = 10
MAX_BACKOFF_S: Final = 5.0


def _seconds(default: float, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


def _bound(default: int, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


def _items(settings: Deadlines | Limits | Buffers) -> Iterator[tuple[str, Any]]:
    for each in fields(settings):
        yield each.name, getattr(settings, each.name)


def _check_integers(settings: Limits | Buffers, least: int) -> None:
    for name, value in _items(settings):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"expected {name} as an integer >= {least}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each phase of a stream may take, in seconds of monotonic time; 0 switches a deadline off.

    All of them limit a whole phase: a peer that drips one byte a second cannot keep a deadline from firing, as it can
    with the idle timers of Sanic (REQUEST_TIMEOUT, RESPONSE_TIMEOUT) and httpx (read timeout). `idle_s` counts events,
    not bytes: comments and heartbeats do not reset it, and time spent waiting for a slow client does not count against
    the upstream.

    `heartbeat_s` is the only one that ends nothing. It keeps a stream that has begun, and is then silent for so long,
    open through proxies that close idle connections (WHATWG HTML, section 9.2.7, advises a comment every 15 s). It
    cannot help before the first piece, for which the status line waits.

    Raises ConfigError for a negative or non-finite number.
    """

    head_s: float = _seconds(10.0, "client: from connecting, or its request's first byte, to a complete head")
    body_s: float = _seconds(30.0, "client: until its request body is complete")
    connect_s: float = _seconds(10.0, "upstream: until it is connected (TLS included)")
    first_piece_s: float = _seconds(60.0, "upstream: from asking, or its latest reasoning, to the first piece")
    idle_s: float = _seconds(30.0, "upstream: between two events")
    write_stall_s: float = _seconds(30.0, "client: how long it may take no byte although some are waiting")
    total_s: float = _seconds(600.0, "the whole answer, from the complete request to its end")
    drain_s: float = _seconds(0.0, "shutdown: how long requests are still taken while /readyz answers 503")
    grace_s: float = _seconds(10.0, "shutdown: how long running streams may take after that")
    heartbeat_s: float = _seconds(
        15.0, "client: after this much silence it gets a comment (SSE) or a blank line (NDJSON)"
    )

    def __post_init__(self) -> None:
        for name, value in _items(self):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise ConfigError(f"expected {name} as seconds >= 0 (0 = off), got {value!r}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stream or a client may make the relay hold, in bytes or counts.

    Raises ConfigError for anything but a positive integer.
    """

    max_streams: int = _bound(10_000, "streams at once; the next one gets 503 with Retry-After")
    max_body_bytes: int = _bound(1 << 20, "request body; beyond it 413")
    max_line_bytes: int = _bound(1 << 20, "one line of the upstream's answer")
    max_event_bytes: int = _bound(1 << 20, "one event of the upstream's answer")
    max_pending_bytes: int = _bound(1 << 17, "output that a policy may hold back for one slow client")

    def __post_init__(self) -> None:
        _check_integers(self, 1)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often connecting to the upstream is tried again, and after which waits.

    Only an attempt that provably sent nothing is repeated: the name was not resolved, or the connection was refused or
    reset while it was made. All attempts share `connect_s`. The waits grow and are random ("full jitter"), so that the
    clients of an upstream that comes back do not all come at once: attempt n waits up to retry_backoff_ms · 2ⁿ⁻¹, at
    most 5 s (M. Brooker, "Exponential Backoff And Jitter").

    Raises ConfigError for a number of retries that is not an integer from 0 to 10, and for negative or non-finite
    times.
    """

    connect_retries: int = _bound(
        0, "upstream: how often to try again to connect; an answer that has begun is not retried"
    )
    retry_backoff_ms: float = field(
        default=100.0, metadata={"help": "upstream: the longest wait before the first retry; it doubles each time"}
    )

    def __post_init__(self) -> None:
        retries = self.connect_retries
        if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MAX_RETRIES:
            raise ConfigError(f"expected connect_retries as an integer from 0 to {MAX_RETRIES}, got {retries!r}")
        if isinstance(self.retry_backoff_ms, bool) or not 0 <= self.retry_backoff_ms < math.inf:
            raise ConfigError(f"expected retry_backoff_ms as milliseconds >= 0, got {self.retry_backoff_ms!r}")

    def wait_s(self, attempt: int, chance: float) -> float:
        """How long to wait before further attempt number `attempt`, from 1; `chance` is uniform in 0 … 1."""
        return chance * min(self.retry_backoff_ms / 1e3 * 2.0 ** (attempt - 1), MAX_BACKOFF_S)


@dataclass(frozen=True, slots=True)
class Buffers:
    """How much may wait in the buffers of each connection, in bytes, before back-pressure is felt.

    The two kernel buffers are 0 by default, which leaves them to the kernel: megabytes for each TCP connection (tcp(7),
    `tcp_wmem` and `tcp_rmem`). The kernel may change a number too: Linux doubles it for its bookkeeping.

    `read_ahead_bytes` stops the reading and does not shorten a read: the event loop takes up to 256 KiB at once, so a
    fast upstream's answer may have `read_ahead_bytes` and 256 KiB waiting.

    Raises ConfigError for anything but an integer >= 0.
    """

    send_buffer_bytes: int = _bound(0, "client: its connection's SO_SNDBUF; 0 = the kernel's choice")
    write_buffer_bytes: int = _bound(65_536, "client: what the relay writes ahead of the kernel before it waits")
    receive_buffer_bytes: int = _bound(0, "upstream: its connection's SO_RCVBUF; 0 = the kernel's choice")
    read_ahead_bytes: int = _bound(
        65_536,
        "upstream: once so much of its answer waits for a slow client, no more is read; the last read may bring up to "
        "256 KiB more",
    )

    def __post_init__(self) -> None:
        _check_integers(self, 0)


@dataclass(frozen=True, slots=True)
class Tracing:
    """What is kept of a traced stream besides its taps. Raises ConfigError for a negative or non-finite number."""

    gauge_ms: float = field(default=0.0, metadata={"help": "traced streams: how often their queues are looked at"})

    def __post_init__(self) -> None:
        if isinstance(self.gauge_ms, bool) or not 0 <= self.gauge_ms < math.inf:
            raise ConfigError(f"expected gauge_ms as milliseconds >= 0 (0 = off), got {self.gauge_ms!r}")


@dataclass(frozen=True, slots=True)
class Resuming:
    """How long and how much is kept of streams that can be resumed; without `resume`, these settings have no effect.

    Bytes are those of text and reasoning in UTF-8, at least 4 for each piece. A log that is full drops what all its
    readers have had, and then makes the upstream wait. When all logs together are full, new streams are refused, and
    each running one goes on within 64 KiB.

    Raises ConfigError for a time that is negative or not finite, for a keep or lease of 0, and for bytes below 1.
    """

    resume_grace_s: float = _seconds(
        30.0, "resume: how long the upstream goes on with no reader at all; 0: it does not"
    )
    resume_keep_s: float = _seconds(300.0, "resume: how long an ended stream is kept")
    resume_lease_s: float = _seconds(5.0, "resume, Redis: a worker that says nothing for this long counts as dead")
    resume_max_bytes: int = _bound(4 << 20, "resume: what is kept of one stream")
    resume_max_total_bytes: int = _bound(256 << 20, "resume: what is kept of all streams; beyond it 503")

    def __post_init__(self) -> None:
        for name in ("resume_grace_s", "resume_keep_s", "resume_lease_s"):
            value = getattr(self, name)
            least = 0 if name == "resume_grace_s" else math.ulp(0.0)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
                raise ConfigError(f"expected {name} as seconds {'>=' if not least else '>'} 0, got {value!r}")
        for name in ("resume_max_bytes", "resume_max_total_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"expected {name} as an integer >= 1, got {value!r}")


@dataclass(frozen=True, slots=True)
class Shipped:
    """Limits of the routes that come with streamkit: uploads, jobs, live analysis.

    The deadline of an upload is a stall: it may take as long as it needs, as long as bytes keep coming.

    Raises ConfigError for a negative or non-finite time, and for bounds below 1 (`job_queue`, `max_jobs`: below 0).
    """

    max_upload_bytes: int = _bound(10 << 30, "uploads: the body; beyond it 413")
    upload_stall_s: float = _seconds(30.0, "uploads: how long no byte of the body may come")
    max_jobs: int = _bound(0, "jobs: how many run at once; 0 = twice as many as there are cores")
    job_queue: int = _bound(100, "jobs: how many may wait for their turn; the next one gets 503 with Retry-After")
    job_s: float = _seconds(600.0, "jobs: how long one may run")

    def __post_init__(self) -> None:
        for name, least in (("max_upload_bytes", 1), ("max_jobs", 0), ("job_queue", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"expected {name} as an integer >= {least}, got {value!r}")
        for name in ("upload_stall_s", "job_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ConfigError(f"expected {name} as seconds >= 0 (0 = off), got {value!r}")


@dataclass(frozen=True, slots=True)
class Option:
    """One field as seen from outside: `flag` for the command line, `env` for the environment."""

    name: str
    kind: type[int | float]
    default: float
    help: str

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def env(self) -> str:
        return ENV_PREFIX + self.name.upper()

    @property
    def unit(self) -> str:
        """In words, for help and errors."""
        if self.kind is int:
            return "an integer"
        return "milliseconds" if self.name.endswith("_ms") else "seconds"


class BodyBounds(TypedDict):
    """Of a body that is read before it is answered, as `streamkit.relay.request.receive` takes them."""

    max_bytes: int
    within_s: float


class UploadBounds(TypedDict):
    """Of one that is read while it comes, as `streamkit.relay.request.arriving` takes them."""

    max_bytes: int
    stall_s: float


class Settings(NamedTuple):
    """All of them."""

    deadlines: Deadlines = Deadlines()
    limits: Limits = Limits()
    buffers: Buffers = Buffers()
    tracing: Tracing = Tracing()
    retries: Retries = Retries()
    resuming: Resuming = Resuming()
    shipped: Shipped = Shipped()

    @property
    def body_bounds(self) -> BodyBounds:
        """`receive_json(request, **settings.body_bounds)`"""
        return BodyBounds(max_bytes=self.limits.max_body_bytes, within_s=self.deadlines.body_s)

    @property
    def upload_bounds(self) -> UploadBounds:
        """`arriving(request, **settings.upload_bounds)`"""
        return UploadBounds(max_bytes=self.shipped.max_upload_bytes, stall_s=self.shipped.upload_stall_s)


DEFAULTS: Final = Settings()


KINDS: Final = (Deadlines, Limits, Buffers, Tracing, Retries, Resuming, Shipped)


def options() -> Iterator[Option]:
    """Every field of every kind of settings as an option."""
    for settings in KINDS:
        for each in fields(settings):
            default: Any = each.default
            yield Option(each.name, type(default), default, each.metadata["help"])


def settings_from(given: Mapping[str, float | None], env: Mapping[str, str]) -> Settings:
    """The settings from what is given (None counts as not given), then the environment, then the defaults.

    Raises TypeError for a name that is no field, ConfigError for a value that makes no sense.
    """
    check_names(given)
    known = {option.name: option for option in options()}
    chosen: dict[str, Any] = {name: _number(o, env[o.env]) for name, o in known.items() if o.env in env}
    chosen |= {name: value for name, value in given.items() if value is not None}
    made: list[Any] = [
        kind(**{each.name: chosen[each.name] for each in fields(kind) if each.name in chosen}) for kind in KINDS
    ]
    return Settings(*made)


def check_names(given: Iterable[str], beside: Iterable[str] = (), *, meant: Iterable[str] = ()) -> None:
    """Raise TypeError unless each of these names is that of a setting, or of what its caller takes `beside` them;
    `meant`: what else may have been meant.

    >>> from streamkit.relay.settings import check_names
    >>> check_names(["idel_s"])
    Traceback (most recent call last):
    TypeError: unknown setting 'idel_s': did you mean 'idle_s'?
    """
    known = dict.fromkeys([*(option.name for option in options()), *beside])
    if unknown := set(given) - set(known):
        name = min(unknown)
        near = difflib.get_close_matches(name, [*known, *meant], 1)
        raise TypeError(
            f"unknown setting {name!r}"
            + (f": did you mean {near[0]!r}?" if near else f"; expected one of {', '.join(known)}")
        )


def flag(env: Mapping[str, str], name: str) -> bool:
    """The switch `name` of the environment; not set is off. Raises ConfigError for anything but 0, 1, true or false."""
    value = env.get(name, "").lower()
    if value not in {"", "0", "1", "false", "true"}:
        raise ConfigError(f"expected {name} as 0, 1, true or false, got {env[name]!r}")
    return value in {"1", "true"}


def _number(option: Option, text: str) -> float:
    try:
        return option.kind(text)
    except ValueError:
        raise ConfigError(f"expected {option.env} as {option.unit}, got {text!r}") from None
