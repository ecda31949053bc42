"""URLs of Unix sockets: `http+unix://%2Ftmp%2Fs.sock/ans`."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import httpx2

from streamkit.errors import ConfigError
from streamkit.sockets import unix_path

__all__ = ["split_unix_url"]

MAX_PORT: Final = 65535


def split_unix_url(url: str) -> tuple[httpx2.URL, str | None]:
    """`http+unix://%2Ftmp%2Fs.sock/ans` as the URL `http://localhost/ans` and the socket's path; others unchanged.

    Raises ConfigError for a URL without scheme or host, and for one of another protocol; its text is not repeated, it
    may hold a secret.

        >>> from streamkit.transport.url import split_unix_url
        >>> split_unix_url("http+unix://%2Frun%2Fs.sock/ans")
        (URL('http://localhost/ans'), '/run/s.sock')
    """
    wanted = ConfigError("expected a full URL such as http://127.0.0.1:8000/ans or http+unix://%2Ftmp%2Fs.sock/ans")
    try:
        parts = urlsplit(url)
        plain = httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL):
        raise wanted from None
    if parts.scheme in {"ws", "wss"}:
        raise ConfigError(
            f"expected a URL with http:// or https://, got a WebSocket URL ({parts.scheme}://): streamkit speaks HTTP"
        )
    if plain.port is not None and plain.port > MAX_PORT:
        raise ConfigError(f"expected a port up to {MAX_PORT} in the URL, got {plain.port}")
    unix = unix_path(parts)
    if not parts.netloc or (unix is None and parts.scheme not in {"http", "https"}):
        raise wanted
    if unix is None:
        return plain, None
    query = f"?{parts.query}" if parts.query else ""
    return httpx2.URL(f"http://localhost{parts.path or '/'}{query}"), unix
