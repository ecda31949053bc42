"""%%stream: a cell that is an HTTP request, and shows how its answer came. Loaded by `%load_ext streamkit`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from streamkit.lab.client.kept import last_recording
from streamkit.lab.client.record import record
from streamkit.lab.live.picture import KINDS
from streamkit.lab.live.request_text import request_of
from streamkit.lab.live.screens import in_notebook
from streamkit.lab.live.watch import watch
from streamkit.lab.run import run

if TYPE_CHECKING:
    import argparse

    from IPython.core.interactiveshell import InteractiveShell

    from streamkit.lab.recording.recording import Recording

__all__ = ["NAME", "StreamMagics"]

NAME: Final = "stream"
OF_SERVERS: Final = frozenset({"journey", "queues", "where", "backlog", "hops"})
GAUGED: Final = frozenset({"queues", "where"})
GAUGE_MS: Final = 20.0


F = TypeVar("F", bound=Callable[..., object])


# IPython's own have no types.


def _argument(*names: str, **how: Any) -> Callable[[F], F]:
    return cast("Callable[[F], F]", argument(*names, **how))  # type: ignore[no-untyped-call]


def _takes_arguments(function: F) -> F:
    return cast("F", magic_arguments()(function))  # type: ignore[no-untyped-call]


def _of_a_cell(function: F) -> F:
    """And of a line, for its help: IPython runs no cell magic without a cell, and then names that of a line."""
    return cast("F", line_cell_magic(function))


def _parsed(magic: object, line: str) -> argparse.Namespace:
    return cast("argparse.Namespace", parse_argstring(magic, line))  # type: ignore[no-untyped-call]


@magics_class
class StreamMagics(Magics):
    """`%%stream`."""

    @_takes_arguments
    @_argument(
        "--out", metavar="NAME", default="_stream", help="the variable that keeps the recording (default: _stream)"
    )
    @_argument("--accept", metavar="TYPE", help="text, sse, ndjson, or a media type: the header Accept")
    @_argument(
        "--kind",
        choices=KINDS,
        default="timeline",
        help="which figure (default: timeline); journey, queues, where, backlog, hops ask a relay of ours for taps",
    )
    @_argument("--live", action="store_true", help="draw it while it runs, too")
    @_argument("--preset", metavar="NAME", help="whose events they are, as 'openai' (default: guessed)")
    @_argument("--reasoning", action="store_true", help="record the reasoning too")
    @_argument("--total-s", type=float, metavar="S", help="end after this long (default: no limit)")
    @_argument("--help", action="store_true", help="show this")
    @_of_a_cell
    def stream(self, line: str, cell: str | None = None) -> None:
        """Send the request that is written in the cell, record its answer, and show when each piece came.

        ::

            %%stream --out answer
            POST {lab.relay.url}/ans
            Accept: text/event-stream

            chat_history=你好

        As in .http files: method and URL, headers, an empty line, the body. A body that begins as JSON does is JSON,
        NAME=VALUE lines are a form (nothing has to be encoded), anything else is text; with a Content-Type header it
        is sent as it is.

        {{expression}} is a value of the notebook, everywhere; in the URL and the headers {expression} is, too. In a
        JSON body write {"question": "{{text}}", "history": {{messages}}}: text is escaped, the rest becomes JSON.

        The recording is the variable `_stream`, or that of --out: `_stream.summary()`, `sk.plots.gaps(_stream)`.
        """
        try:
            arguments = _parsed(self.stream, line)
        except SystemExit:  # argparse's own way out
            return
        if arguments.help or cell is None or not cell.strip():
            print(self.stream.__doc__)  # noqa: T201  it was asked for
            return
        if not arguments.out.isidentifier():
            raise UsageError(f"expected --out as the name of a variable, got {arguments.out!r}")
        self._shown(arguments, self._asked(arguments, cell))

    @property
    def _shell(self) -> InteractiveShell:
        assert self.shell is not None  # noqa: S101  # for the type checker: a shell made us
        return self.shell

    def _asked(self, arguments: argparse.Namespace, cell: str) -> dict[str, Any]:
        try:
            request = request_of(cell, self._shell.ev)
        except (ValueError, NameError, SyntaxError, AttributeError, KeyError) as error:
            raise UsageError(
                f"{type(error).__name__ + ': ' if not isinstance(error, ValueError) else ''}{error}"
            ) from None
        request["taps"] = arguments.kind in OF_SERVERS
        request["gauge_ms"] = GAUGE_MS if arguments.kind in GAUGED else 0.0
        options = {name: getattr(arguments, name) for name in ("accept", "preset", "reasoning", "total_s")}
        return request | {name: value for name, value in options.items() if value is not None}

    def _shown(self, arguments: argparse.Namespace, request: dict[str, Any]) -> None:
        asked = record(**request)
        try:
            recording = run(watch(asked, kind=arguments.kind) if arguments.live else asked)
        except (KeyboardInterrupt, asyncio.CancelledError) as error:
            kept = last_recording(of=error)
            if kept is not None:
                self._keep(arguments, kept)
            raise
        self._keep(arguments, recording)

    def _keep(self, arguments: argparse.Namespace, recording: Recording) -> None:
        self._shell.user_ns[arguments.out] = recording
        if in_notebook() and not arguments.live:
            from streamkit.lab import plots

            getattr(plots, arguments.kind)(recording)
        error = "" if recording.error is None else f" ({recording.error})"
        counts = f"{len(recording.events)} events, {len(recording.text)} characters"
        print(f"{recording.outcome}{error}: {counts}; trust: {recording.trust}; kept as {arguments.out}")  # noqa: T201
