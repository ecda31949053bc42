"""Which jobs there are: functions that another process finds, called with what they take."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from streamkit.errors import BadArguments, ConfigError, UnknownJob
from streamkit.jobs import Bounds, Report
from streamkit.jobs.registry import Job, Registry, function_at, path_of
from streamkit.jobs.shipped import SHIPPED, pi

ROOT = Path(__file__).parents[2]


def takes_all(  # type: ignore[no-untyped-def]  # as people write them
    report: Report,
    count: Annotated[int, Bounds(1, 10)],
    share: Annotated[float, Bounds(0, 1)] = 0.5,
    name: Annotated[str, Bounds(0, 3)] = "",
    *,
    loud: bool = False,
    kind: Literal["a", "b"] = "a",
    seed: int | None = None,
    numbers: list[int] | None = None,
    table: dict[str, Any] | None = None,
    whatever: Any = None,
    untyped=3,
) -> None:
    """Does nothing."""


ALL = Job.of("all", takes_all)


class Math:
    @staticmethod
    def halves(report: Report) -> None:
        """Does nothing."""


def test_a_function_is_found_again_by_its_path() -> None:
    functions: list[Any] = [takes_all, Math.halves, *SHIPPED.values()]
    for function in functions:
        assert function_at(path_of(function)) is function


def inside() -> Any:
    def local(report: Report) -> None:
        """Does nothing."""

    return local


@pytest.mark.parametrize(
    "function",
    [lambda _: None, inside(), functools.partial(takes_all, count=3), 3],
    ids=["lambda", "local", "partial", "number"],
)
def test_what_no_other_process_finds_is_refused_and_says_what_to_do(function: Any) -> None:
    with pytest.raises(ConfigError, match=r"^expected (a|the) job .*"):
        Job.of("mine", function)


def test_a_function_of_a_script_is_found_by_the_script_that_runs_and_by_another_process(tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    script.write_text(
        textwrap.dedent("""
            import subprocess, sys
            from streamkit.jobs.registry import function_at, path_of

            def mine(report): return {"is": __name__}

            if __name__ == "__main__":
                path = path_of(mine)
                assert function_at(path) is mine
                ask = "import sys; from streamkit.jobs.registry import *; f = function_at(sys.argv[1]); "
                ask += "print(f(None), path_of(f))"
                subprocess.run([sys.executable, "-c", ask, path], check=True)
        """)
    )
    said = subprocess.run(
        [sys.executable, script], check=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert said.stdout == f"{{'is': '__mp_main__'}} {script}:mine\n"


def test_a_function_of_a_module_that_runs_as_a_script_is_found_as_one_of_that_module(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from streamkit.jobs.registry import function_at, path_of\n"
        "def mine(report): pass\n"
        "if __name__ == '__main__': print(path_of(mine), function_at(path_of(mine)) is mine)"
    )
    said = subprocess.run(
        [sys.executable, "-m", "own"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert said.stdout == "own:mine True\n"


def test_a_function_of_a_notebook_is_refused_and_says_where_to_put_it() -> None:
    asked = "from streamkit.jobs.registry import path_of\ndef mine(report): pass\npath_of(mine)"
    said = subprocess.run(
        [sys.executable, "-c", asked], check=False, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert "got mine, which is defined in a notebook or at a prompt; put it into a file" in said.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 1},
        {"count": 10, "share": 1, "name": "abc", "loud": True, "kind": "b", "seed": 3},
        {"count": 1, "numbers": [1], "table": {}, "whatever": [None], "untyped": "x", "seed": None},
    ],
)
def test_arguments_that_fit_are_taken(arguments: dict[str, Any]) -> None:
    assert ALL.check(arguments) == arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected arguments as an object"),
        ({}, "expected count; all takes count"),
        ({"count": 1, "secret": 2}, "expected no arguments but its own"),
        ({"count": 0}, "expected count as an integer from 1 to 10"),
        ({"count": 11}, "expected count as an integer from 1 to 10"),
        ({"count": "1"}, "expected count as an integer from 1 to 10"),
        ({"count": True}, "expected count as an integer"),
        ({"count": 1.0}, "expected count as an integer"),
        ({"count": 1, "share": 1.5}, "expected share as a number from 0 to 1"),
        ({"count": 1, "share": float("nan")}, "expected share as a number from 0 to 1"),
        ({"count": 1, "name": "abcd"}, "expected name as text of a length from 0 to 3"),
        ({"count": 1, "loud": 1}, "expected loud as true or false"),
        ({"count": 1, "kind": "c"}, 'expected kind as "a" or "b"'),
        ({"count": 1, "seed": "x"}, "expected seed as an integer or null"),
        ({"count": 1, "numbers": {}}, "expected numbers as a list or null"),
        ({"count": 1, "table": []}, "expected table as an object or null"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_what_it_takes(arguments: Any, said: str) -> None:
    with pytest.raises(BadArguments, match=said) as caught:
        ALL.check(arguments)
    assert "all takes count (an integer from 1 to 10), share (a number from 0 to 1, 0.5 by default)" in str(
        caught.value
    )
    assert "secret" not in str(caught.value)


def test_an_unknown_job_is_refused_with_what_there_is_and_without_its_name() -> None:
    for name in ("p\nie", 3, None, ["pi"]):
        with pytest.raises(UnknownJob, match=r"^expected a job's name; there are fails, fit, noisy, pi, words$"):
            Registry(SHIPPED)[name]  # type: ignore[index]  # a client may send anything


def takes_nothing() -> None:
    """No report."""


def takes_anything(report: Report, *numbers: int, **more: int) -> None:
    """Arguments without names."""


def takes_bytes(report: Report, data: bytes) -> None:
    """What JSON has not."""


def takes_unknown(report: Report, data: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821  # not there
    """A type that cannot be read."""


def takes_by_name(*, report: Report) -> None:
    """No report first."""


@pytest.mark.parametrize("function", [takes_nothing, takes_anything, takes_bytes, takes_unknown, takes_by_name])
def test_a_function_that_cannot_be_called_so_is_no_job(function: Any) -> None:
    with pytest.raises(ConfigError, match="the job 'mine'"):
        Registry({"mine": function})


@pytest.mark.parametrize("name", ["", "two words", "a/b", "x" * 65, 3])
def test_a_name_is_a_word(name: Any) -> None:
    with pytest.raises(ConfigError, match="expected a job's name as a word"):
        Registry({name: pi})
