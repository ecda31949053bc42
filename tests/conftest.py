"""What all tests share: settings of hypothesis that do not depend on how busy the machine is, and a clean end."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Generator, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import leaves_nothing

settings.register_profile(
    "streamkit",
    settings(),  # where CI=true, hypothesis's own "ci" profile: the same examples in each run
    max_examples=60,  # where a test does not say how many: `campaigns.fuzz` looks for as long as one likes
    deadline=None,  # a deadline per example, and the check for slow generation, are assertions of absolute speed
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("streamkit")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are made and none goes: to look again and again for what could go took two seconds."""
    gc.disable()
    try:
        import_a_share()
        return (yield)
    finally:
        gc.enable()


def import_a_share() -> None:
    """Of several workers each imports other test files first: where no bytecode is kept yet, to rewrite the asserts of
    all of them takes over ten seconds, and so each worker rewrites its share. What fails, fails again when its tests
    are gathered, and is told then.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    here = Path(__file__).parent
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as pyproject.toml has it for the tests
        for path in sorted(here.rglob("test_*.py"))[worker::workers] if workers else ():
            with suppress(Exception, pytest.skip.Exception):
                import_module(".".join(path.relative_to(here.parent).with_suffix("").parts))


@pytest.fixture(autouse=True, scope="module")
def what_is_old_is_not_looked_through() -> None:
    """Whether a test leaves something is found out by a collection, which looks at every object there is: late in a run
    that took up to six seconds a test. What is there before the first test of a file is none of its own.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """The test leaves no server, no server thread and no app behind."""
    with leaves_nothing():
        yield
