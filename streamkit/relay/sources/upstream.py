"""Whom the relay asks, and how: what all questions of one upstream have in common."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import httpx2

from streamkit._version import __version__
from streamkit.errors import ConfigError
from streamkit.presets import Preset
from streamkit.presets.asking import UpstreamRequest
from streamkit.reasons import masked
from streamkit.relay.settings import DEFAULTS, Settings
from streamkit.transport import StreamTransport, Template
from streamkit.transport.tls import Verify, ssl_context
from streamkit.transport.url import split_unix_url

__all__ = ["Upstream"]

KEEPALIVE_S: Final = 4.0
"""How long an upstream connection may be idle: less than the 5 s after which many servers close theirs, for a request
that crosses such an end is lost.
"""

USER_AGENT: Final = f"streamkit/{__version__}"
KEPT_TEMPLATES: Final = 8
"""Most questions of an upstream have the same head; some name a stream in theirs."""


class Upstream:
    """One provider's endpoint: its `url`, its `preset`, what each question carries, and the `transport` to it.

    `key`, `model`, `extra` and `verify` as in `create_app`; the key is shown nowhere. `transport` is somebody else's,
    instead of our own. Raises ConfigError for a URL that cannot be asked, for a key or `extra` that cannot be sent, and
    for a `verify` that names no certificates.
    """

    def __init__(
        self,
        url: str,
        preset: Preset,
        *,
        key: str | None = None,
        model: str | None = None,
        extra: Mapping[str, object] | None = None,
        settings: Settings = DEFAULTS,
        transport: httpx2.AsyncBaseTransport | None = None,
        verify: Verify = True,
    ) -> None:
        self.url, self._unix = split_unix_url(url)
        if self.url.userinfo:
            raise ConfigError("the upstream's URL holds a user name or password: put the key into UPSTREAM_API_KEY")
        self.preset = preset
        self.settings = settings
        self._key = key
        self._model = model
        self._extra = dict(extra or {})
        if transport is not None and verify is not True:
            raise TypeError("expected verify or a transport of your own, got both: that one decides whom it trusts")
        # The system's certificates are read when they are first needed; a wrong file is said at start-up.
        self._ssl_context = None if verify is True else ssl_context(verify)
        self._given = transport
        self._transport = transport
        self._template = lru_cache(maxsize=KEPT_TEMPLATES)(self._new_template)
        self.question("a question")  # what cannot be sent is said at start-up

    def question(self, chat_history: str) -> UpstreamRequest:
        """`chat_history` as this provider wants to be asked it."""
        return self.preset.request(chat_history, key=self._key, model=self._model, extra=self._extra)

    def url_of(self, question: UpstreamRequest) -> httpx2.URL:
        """Where `question` goes."""
        return self.url.copy_merge_params(question.params) if question.params else self.url

    def headers_of(self, question: UpstreamRequest) -> dict[str, str]:
        """All that stands in its head beside where it goes and how long it is."""
        return {"user-agent": USER_AGENT, **question.headers}

    def template(self, question: UpstreamRequest) -> Template:
        """The head of `question`, as bytes: of the next one, if nothing else is asked for, the very same."""
        return self._template(tuple(question.headers.items()), tuple(question.params.items()))

    def _new_template(self, headers: tuple[tuple[str, str], ...], params: tuple[tuple[str, str], ...]) -> Template:
        question = UpstreamRequest(dict(headers), b"", dict(params))
        return Template("POST", self.url_of(question), self.headers_of(question))

    def masked(self, words: str) -> str:
        """Words of the upstream's, without its key."""
        return masked(words, [self._key] if self._key else [])

    @property
    def transport(self) -> httpx2.AsyncBaseTransport:
        """What it is asked by, while it is open."""
        assert self._transport is not None, "the upstream is not open"  # noqa: S101  # listeners run before requests
        return self._transport

    async def open(self) -> None:
        """Make the transport: its connections belong to the running loop."""
        limits, buffers = self.settings.limits, self.settings.buffers
        self._transport = self._given or StreamTransport(
            unix=self._unix,
            ssl_context=self._ssl_context,
            max_connections=limits.max_streams,
            keepalive_s=KEEPALIVE_S,
            read_ahead_bytes=buffers.read_ahead_bytes,
            receive_buffer_bytes=buffers.receive_buffer_bytes,
        )

    async def close(self) -> None:
        """Close every connection to it."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    def __repr__(self) -> str:
        return f"<Upstream preset={self.preset.name!r}>"
