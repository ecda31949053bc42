"""How a command ends on a signal, wherever it is and whoever ignores which."""

from __future__ import annotations

import asyncio
import signal
import threading
from argparse import Namespace
from collections.abc import Iterator

import pytest

from streamkit.cli.stopping import INTERRUPTED, TERMINATED, Terminated, stoppable


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def keeping(number: signal.Signals) -> int:
    """A command that a signal finds at work: it keeps what has come, and says so."""

    async def work() -> None:
        signal.raise_signal(number)
        await asyncio.Event().wait()

    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def at_once(number: signal.Signals) -> int:
    """A command that has nothing to keep yet."""
    signal.raise_signal(number)
    return 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_what_is_kept_has_the_status_of_the_signal(number: signal.Signals, status: int) -> None:
    assert stoppable(lambda _: keeping(number))(Namespace()) == status


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_where_there_is_nothing_to_keep_it_says_which_signal_it_was(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    with pytest.raises(KeyboardInterrupt) as error:
        stoppable(lambda _: at_once(number))(Namespace())
    assert error.type is raised


def test_sigterm_is_heard_where_sigint_is_ignored_which_it_still_is() -> None:
    """As in a shell script, behind `&`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert stoppable(lambda _: keeping(signal.SIGTERM))(Namespace()) == TERMINATED
    assert stoppable(lambda _: at_once(signal.SIGINT))(Namespace()) == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_status_of_a_command_that_is_left_alone_and_all_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert stoppable(lambda _: 3)(Namespace()) == 3
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_a_thread_which_has_no_signals_it_is_just_run() -> None:
    said: list[int] = []
    thread = threading.Thread(target=lambda: said.append(stoppable(lambda _: 3)(Namespace())))
    thread.start()
    thread.join()
    assert said == [3]
