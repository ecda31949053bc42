"""The routes that come with streamkit beside an LLM's answer: a source each, and how it is asked.

    sk.serve(lambda: sk.create_app(uses="upload,jobs,analysis"))                       # as they are
    routes = {"/upload": shipped.upload(processes={"mine": Mine})}                     # with something of your own
    sk.serve(lambda: sk.create_app(routes=routes))

What each needs is imported when it is switched on: a relay without it starts as quickly as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from streamkit.errors import ConfigError
from streamkit.relay.route import Route

__all__ = ["analysis", "jobs", "shipped", "upload"]


def shipped(uses: str | Iterable[str]) -> dict[str, Route]:
    """The routes of these names, by their paths: `upload`, `jobs`, `analysis`. Raises ConfigError for others."""
    names = [name for name in map(str.strip, uses.split(",") if isinstance(uses, str) else uses) if name]
    if unknown := [name for name in names if name not in SHIPPED]:
        raise ConfigError(f"expected routes out of {', '.join(SHIPPED)}, got {unknown[0]!r}")
    return {f"/{name}": SHIPPED[name]() for name in names}


def upload() -> Route:
    raise NotImplementedError


def jobs() -> Route:
    raise NotImplementedError


def analysis() -> Route:
    raise NotImplementedError


SHIPPED: Final[dict[str, Callable[[], Route]]] = {"upload": upload, "jobs": jobs, "analysis": analysis}
