"""The routes that come with streamkit besides an LLM's answer: uploads, jobs, live analysis.

    sk.serve(lambda: sk.create_app(uses="upload,jobs,analysis"))                       # as they are
    routes = {"/upload": shipped.upload({"mine": Mine}), "/jobs": shipped.jobs({"mine": mine})}
    sk.serve(lambda: sk.create_app(routes=routes))                                     # with something of your own

POST /upload?process=lines|csv|digest   any body, or a form with a file in it
POST /jobs                              {"job": "pi", "arguments": {"samples": 1000000}}
POST /analysis?window=1000              lines of JSON, or CSV; or nothing, with feed=NAME

What a route needs is imported only when it is switched on, so the others start no slower.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sanic import Request

from streamkit.errors import ConfigError
from streamkit.relay.failure import Failed
from streamkit.relay.request.arriving import arriving
from streamkit.relay.request.receive import receive_json, receive_nothing
from streamkit.relay.request.resuming import body_digest, json_text
from streamkit.relay.route import Route, Wanted
from streamkit.relay.settings import DEFAULTS, Settings
from streamkit.relay.stream import Stream

if TYPE_CHECKING:
    from streamkit.jobs.registry import JobFunction
    from streamkit.processors.registry import Processors

__all__ = ["analysis", "jobs", "named", "upload"]

WHILE_IT_ARRIVES: Final = {"first_piece_s": 0.0, "idle_s": 0.0, "total_s": 0.0}
"""An upload's deadline is its stall, and a job's its own; a feed has none."""
SHORTEST_S: Final = 0.01
LONGEST_S: Final = 3600.0


def named(uses: str | Iterable[str]) -> dict[str, Route]:
    """The routes with these names, by path: `upload`, `jobs`, `analysis`. Raises ConfigError for any other name.

    >>> [*sk.shipped.named("upload, analysis")]
    ['/upload', '/analysis']
    """
    names = [name for name in map(str.strip, uses.split(",") if isinstance(uses, str) else uses) if name]
    if unknown := [name for name in names if name not in SHIPPED]:
        raise ConfigError(f"expected routes out of {', '.join(SHIPPED)}, got {unknown[0]!r}")
    return {f"/{name}": SHIPPED[name]() for name in names}


def upload(processors: Processors | None = None) -> Route:
    """A route for uploads that are processed while they arrive, and answered meanwhile.

    `processors` adds processors of your own to those that come with streamkit (`streamkit.processors`): a dict from a
    name to what makes one.

    >>> from streamkit.processors.registry import PROCESSORS
    >>> app = sk.create_app(routes={"/upload": sk.shipped.upload({"mine": PROCESSORS["lines"]})})
    """
    from streamkit.processors.registry import PROCESSORS
    from streamkit.relay.sources.upload import EVERY_S, processor
    from streamkit.relay.sources.upload import upload as source

    known = {**PROCESSORS, **(processors or {})}

    async def ask(request: Request, stream: Stream) -> Wanted:
        said = _query(request, "process", "every")
        process = said.get("process", "")
        processor(process, known)  # what there is not is said before anything is sent
        every_s = _every_s(said["every"]) if "every" in said else EVERY_S
        body = arriving(request, **stream.settings.upload_bounds, taps=stream.taps)
        return Wanted(partial(source, body, process, processors=known, every_s=every_s), arriving=body)

    return Route(ask, WHILE_IT_ARRIVES, uploads=True)


def jobs(functions: Mapping[str, JobFunction] | None = None, executor: Executor | None = None) -> Route:
    """A route for long computations, which run in processes of their own and report their progress.

    >>> app = sk.create_app(routes={"/jobs": sk.shipped.jobs()})

    `functions` adds functions of your own, by name, to those that come with streamkit. An `executor` of your own
    replaces our processes (see `streamkit.relay.sources.job.Jobs`). Raises ConfigError for a function that another
    process could not import.
    """
    from streamkit.relay.sources.job import Jobs, job

    Jobs(DEFAULTS.shipped, functions, executor)  # says now which of them cannot be sent to another process
    running: list[Jobs] = []

    @asynccontextmanager
    async def run(settings: Settings) -> AsyncIterator[None]:
        kept = Jobs(settings.shipped, functions, executor)
        await kept.open()
        running[:] = [kept]
        try:
            yield
        finally:
            await kept.close()

    async def ask(request: Request, stream: Stream) -> Wanted:
        asked = await receive_json(request, **stream.settings.body_bounds)
        if not isinstance(asked, dict) or "job" not in asked or not set(asked) <= {"job", "arguments"}:
            raise Failed.of_request(422, "bad_job", 'send {"job": NAME, "arguments": {…}}, and nothing else')
        (kept,) = running
        name, arguments = asked["job"], asked.get("arguments", {})
        kept.check(name, arguments)
        kept.begin()
        return Wanted(partial(job, kept, name, arguments), body_digest({"": json_text(asked)}))

    return Route(ask, WHILE_IT_ARRIVES, asynchronous=True, running=run)


def analysis() -> Route:
    """A route for rolling statistics of numbers while they arrive, in the request's body or from a `sk.create_feed`.

    >>> app = sk.create_app(routes={"/analysis": sk.shipped.analysis()})
    """
    from streamkit.relay.sources.analysis import EVERY_S, window_asked
    from streamkit.relay.sources.analysis import analysis as source
    from streamkit.relay.sources.feed import feed_asked, watch

    async def ask(request: Request, stream: Stream) -> Wanted:
        said = _query(request, "window", "feed", "every")
        window = window_asked(said.get("window", "all"))
        every_s = _every_s(said["every"]) if "every" in said else EVERY_S
        if "feed" in said:
            feed = feed_asked(said["feed"])
            await receive_nothing(request, **stream.settings.body_bounds)
            return Wanted(partial(watch, feed, window, every_s=every_s), body_digest(said))
        body = arriving(request, **stream.settings.upload_bounds, taps=stream.taps)
        return Wanted(partial(source, body, window, every_s=every_s), arriving=body)

    return Route(ask, WHILE_IT_ARRIVES, uploads=True)


SHIPPED: Final[dict[str, Callable[[], Route]]] = {"upload": upload, "jobs": jobs, "analysis": analysis}


def _query(request: Request, *names: str) -> dict[str, str]:
    """What the query says under these names. Raises Failed, 422, where it says something else, or something twice."""
    said: dict[str, Any] = request.get_args(keep_blank_values=True)
    unknown = [name for name in said if name not in names]
    if unknown or any(len(values) > 1 for values in said.values()):
        raise Failed.of_request(422, "bad_query", f"send {', '.join(names)} in the query, each once at most")
    return {name: str(values[0]) for name, values in said.items()}


def _every_s(text: str) -> float:
    """`every=0.5`: how many seconds lie between two results at least. Raises Failed, 422."""
    try:
        every_s = float(text)
    except ValueError:
        every_s = 0.0
    if not SHORTEST_S <= every_s <= LONGEST_S:
        raise Failed.of_request(
            422, "bad_every", f"every has to be a number of seconds from {SHORTEST_S} to {LONGEST_S:g}"
        )
    return every_s


def __dir__() -> list[str]:
    return __all__
