"""A runner: its states, and what can go to another process."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from streamkit.errors import ServerError
from streamkit.serving.runner import Runner, ThreadRunner, pickled
from tests import server_apps
from tests.rawsockets import WAIT_S
from tests.server_apps import make_app

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_it_starts_runs_and_has_stopped() -> None:
    ended: list[Runner] = []
    runner = ThreadRunner(make_app, "one", "auto", 0.2, ended.append)
    assert runner.state == "starting"
    runner.start("127.0.0.1", 0, None, WAIT_S)
    assert (runner.state, ended) == ("running", [])
    runner.ask(0)
    runner.stop(0)
    assert (runner.state, runner.error, ended) == ("stopped", None, [runner])


def test_one_that_cannot_start_has_failed_and_says_why() -> None:
    runner = ThreadRunner(server_apps.make_failing_start, "one", "auto", 0.2, lambda _: None)
    with pytest.raises(ServerError, match="no database"):
        runner.start("127.0.0.1", 0, None, WAIT_S)
    assert (runner.state, type(runner.error)) == ("failed", LookupError)
    assert runner.listener is not None
    assert runner.listener.sock.fileno() == -1


def test_a_lambda_cannot_go_to_a_process() -> None:
    with pytest.raises(TypeError, match=r"pass an import string .* or functools\.partial"):
        pickled(lambda: make_app())


def test_a_function_of_main_cannot_go_to_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_app, "__module__", "__main__")
    with pytest.raises(TypeError, match="make_app is defined in __main__"):
        pickled(partial(make_app, name="p"))


def test_arguments_of_a_factory_appear_in_no_message() -> None:
    with pytest.raises(TypeError) as caught:
        pickled(partial(make_app, threading.Lock(), "sk-canary-4711"))  # type: ignore[arg-type]  # as meant
    assert "sk-canary" not in str(caught.value)
