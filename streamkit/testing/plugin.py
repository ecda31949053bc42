"""pytest's hooks and fixtures. They come with every test run, used or not: what is heavy is imported in use."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

import pytest

from streamkit.testing.watching import RunningTest, watch

if TYPE_CHECKING:
    from streamkit.lab.lab import Lab
    from streamkit.lab.load.targets import TargetLike
    from streamkit.lab.sets import RecordingSet
    from streamkit.lab.upstream import Script

__all__ = ["pytest_addoption", "pytest_configure", "pytest_runtest_call", "record_stream", "stream_lab"]

FOLDER: Final = "streamkit-kept"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--streamkit-keep FOLDER`."""
    parser.getgroup("streamkit").addoption(
        "--streamkit-keep",
        metavar="FOLDER",
        default=None,
        help="save the recordings of streams that broke a limit here (default: in pytest's folder for temporary files)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """A folder that is given is meant from where pytest was started, wherever a test goes."""
    if (folder := config.option.streamkit_keep) is not None:
        config.option.streamkit_keep = str(Path(folder).resolve())  # a str: pytest-xdist sends options to its workers


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that has failed has failed; one that could not decide something, and is else content, is skipped."""
    test = RunningTest(name=item.nodeid, folder=lambda: _folder(item.config))
    watch(test)
    try:
        result = yield
    finally:
        watch(None)
    if test.undecided:
        pytest.skip("; ".join(test.undecided))
    return result


def _folder(config: pytest.Config) -> Path:
    given: str | None = config.option.streamkit_keep
    if given is not None:
        return Path(given)
    factory: Any = getattr(config, "_tmp_path_factory", None)  # what the fixture gives; hooks have no other way to it
    return Path(mkdtemp(prefix=FOLDER) if factory is None else factory.getbasetemp() / FOLDER)


@pytest.fixture
def stream_lab() -> Iterator[Callable[..., Lab]]:
    """A fixture that makes labs, which are stopped when the test is over.

        def test_it(stream_lab):
            lab = stream_lab(sk.Script(gap_ms=20), idle_s=1)

    The arguments are those of `sk.Lab`.
    """
    from streamkit.lab.lab import Lab

    with ExitStack() as running:

        def make(script: Script | None = None, **options: Any) -> Lab:
            lab = Lab(**options) if script is None else Lab(script, **options)
            running.callback(lab.stop)
            return lab

        yield make


@pytest.fixture
def record_stream() -> Callable[..., RecordingSet]:
    """A fixture that asks for one stream after the other, and returns their recordings as a `RecordingSet`.

        def test_it(record_stream):
            streams = record_stream("http://127.0.0.1:8000/ans", runs=20, accept="sse")

    What is asked is a `Lab`, a URL, or an async function, as for `sk.load`; `prompt` is what it is asked. All other
    keywords are options of `record()`. It is for tests that are plain functions; in an async one, `await sk.record(…)`.
    """
    from streamkit.lab.run import run

    def record(target: TargetLike, prompt: str = "hi", *, runs: int = 1, **options: Any) -> RecordingSet:
        return run(_recorded(target, prompt, runs, options))

    return record


async def _recorded(target: TargetLike, prompt: str, runs: int, options: dict[str, Any]) -> RecordingSet:
    from streamkit.lab.arguments import check_whole
    from streamkit.lab.load.mix import Mix
    from streamkit.lab.load.targets import target_of
    from streamkit.lab.sets import RecordingSet

    check_whole("runs", runs, least=1)
    asked = target_of(target, options, taps=True, pids=None)
    mix = Mix(prompt)
    async with asked.opened():
        return RecordingSet(await asked.joined([await asked.ask(mix.visit(n, None)) for n in range(runs)]))
