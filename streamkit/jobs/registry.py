"""Which jobs there are, where another process finds them, and what they take.

A job is a function that can be imported. Its signature says what it takes: the names, and by annotations the types and
bounds, which are checked before it runs.

    def halves(report: Report, upto: Annotated[int, Bounds(1, 1000)], name: str = "") -> dict[str, Any]:
"""

from __future__ import annotations

import inspect
import re
import runpy
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    Self,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from streamkit.errors import BadArguments, ConfigError, UnknownJob

__all__ = ["Bounds", "Job", "JobFunction", "Registry", "function_at", "path_of"]

JobFunction: TypeAlias = Callable[..., "dict[str, Any] | None"]
"""Takes a `streamkit.jobs.Report`, then its arguments; what it returns is the last result."""

NAME: Final = re.compile(r"[\w-]{1,64}")
IN_WORDS: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
    type(None): "null",
    Any: "any JSON",
}
MAIN: Final = frozenset({"__main__", "__mp_main__"})
"""What a script is called by the process that runs it, and by those that multiprocessing starts for it."""


class Bounds(NamedTuple):
    """The bounds of a number, or of the length of a text or list, both included: `Annotated[int, Bounds(1, 100)]`.

    >>> from streamkit.jobs import Bounds
    >>> Bounds(1, 100)
    Bounds(least=1, most=100)
    """

    least: float
    most: float


# -- where a function is found -----------------------------------------------------------------------------------------


def path_of(function: JobFunction) -> str:
    """Where another process finds it: `package.module:name`, or `/folder/script.py:name`.

    >>> from streamkit.jobs.registry import path_of
    >>> from streamkit.jobs.shipped import pi
    >>> path_of(pi)
    'streamkit.jobs.shipped:pi'

    Raises ConfigError for a lambda, a function within a function, and one of a notebook: no other process has those.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not callable(function) or module is None or name is None:
        raise ConfigError(f"expected a job as a function of a module, got {function!r}; wrap it: def job(report): …")
    try:
        found = attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError):
        found = None
    if found is not function:
        raise ConfigError(
            f"expected a job that a process can import, got {module}.{name}; define it with def, at the top of a module"
        )
    if (home := _home(module)) is None:
        raise ConfigError(
            f"expected a job that a process can import, got {name}, which is defined in a notebook or at a prompt; "
            "put it into a file, such as jobs.py, and import it from there"
        )
    return f"{home}:{name}"


def _home(module: str) -> str | None:
    """What another process calls it: a script is a file, or what `python -m` was told."""
    if module not in MAIN:
        return module
    script = sys.modules[module]
    if (spec := getattr(script, "__spec__", None)) is not None:
        return str(spec.name)
    file = getattr(script, "__file__", None)
    return None if file is None else str(Path(file).resolve())


def function_at(path: str) -> JobFunction:
    """The inverse of `path_of`. Raises ImportError, AttributeError, and whatever importing its module raises."""
    home, _, name = path.rpartition(":")
    function: JobFunction = attrgetter(name)(_module(home))
    return function


def _module(home: str) -> types.ModuleType:
    """The script that runs here has no second self; one that does not is run, as multiprocessing does, by that name."""
    for name in MAIN & sys.modules.keys():
        if home == _home(name):
            return sys.modules[name]
    if not Path(home).is_absolute():
        return import_module(home)
    script = types.ModuleType("__mp_main__")
    script.__file__ = home
    vars(script).update(runpy.run_path(home, run_name=script.__name__))
    sys.modules[script.__name__] = script
    return script


# -- what it takes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Argument:
    name: str
    hint: Any
    default: Any

    @property
    def needed(self) -> bool:
        return self.default is inspect.Parameter.empty

    def __str__(self) -> str:
        return f"{self.name} ({_said(self.hint)}{'' if self.needed else f', {self.default!r} by default'})"


@dataclass(frozen=True, slots=True)
class Job:
    """A job under its name: where it is found, and what it takes."""

    name: str
    path: str
    takes: tuple[_Argument, ...]

    @classmethod
    def of(cls, name: str, function: JobFunction) -> Self:
        """Read off a function. Raises ConfigError for one that cannot be a job."""
        path = path_of(function)
        try:
            hints = get_type_hints(function, include_extras=True)
            first, *others = inspect.signature(function).parameters.values()
        except (NameError, TypeError, ValueError) as error:
            raise ConfigError(
                f"expected the job {name!r} as a function of a report and of arguments with types that can be read, "
                f"got {path}: {error}"
            ) from None
        if first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
            raise ConfigError(f"expected the job {name!r} to take a report first, got {path}, which takes {first}")
        return cls(name, path, tuple(_argument(name, each, hints.get(each.name, Any)) for each in others))

    def check(self, arguments: Any) -> dict[str, Any]:
        """The arguments, as they may be given to the function. Raises BadArguments, which says what it takes.

        >>> from streamkit.jobs.registry import Job
        >>> from streamkit.jobs.shipped import fails
        >>> Job.of("fails", fails).check({"after": "x"})
        Traceback (most recent call last):
        streamkit.errors.BadArguments: expected after as an integer from 0 to 1000000000; fails takes after (an ...
        """
        if not isinstance(arguments, dict):
            raise BadArguments(f"expected arguments as an object; {self}")
        if arguments.keys() - {each.name for each in self.takes}:
            raise BadArguments(f"expected no arguments but its own; {self}")
        for each in self.takes:
            if each.name not in arguments:
                if each.needed:
                    raise BadArguments(f"expected {each.name}; {self}")
            elif not _fits(arguments[each.name], each.hint):
                raise BadArguments(f"expected {each.name} as {_said(each.hint)}; {self}")
        return arguments

    def __str__(self) -> str:
        return f"{self.name} takes {', '.join(map(str, self.takes)) or 'no arguments'}"


class Registry:
    """Jobs by name. Raises ConfigError for a function that cannot be one, and for a name that is no word.

    >>> from streamkit.jobs.registry import Registry
    >>> from streamkit.jobs.shipped import SHIPPED
    >>> Registry(SHIPPED).names
    ('fails', 'fit', 'noisy', 'pi', 'words')
    """

    def __init__(self, functions: Mapping[str, JobFunction]) -> None:
        for name in functions:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise ConfigError(f"expected a job's name as a word such as pi or my-own, got {name!r}")
        self._jobs = {name: Job.of(name, functions[name]) for name in sorted(functions)}

    @property
    def names(self) -> tuple[str, ...]:
        """In order."""
        return tuple(self._jobs)

    def __getitem__(self, name: str) -> Job:
        """Raises UnknownJob, which says what there is."""
        job = self._jobs.get(name) if isinstance(name, str) else None
        if job is None:
            raise UnknownJob(f"expected a job's name; there are {', '.join(self._jobs)}")
        return job


def _argument(job: str, parameter: inspect.Parameter, hint: Any) -> _Argument:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise ConfigError(f"expected the job {job!r} to take arguments with names, got {parameter}")
    try:
        _said(hint)
    except KeyError:
        raise ConfigError(
            f"expected {parameter.name} of the job {job!r} as int, float, str, bool, list, dict, a Literal or several "
            f"of them (|), with Bounds perhaps, got {hint!r}"
        ) from None
    return _Argument(parameter.name, hint, parameter.default)


def _said(hint: Any) -> str:
    """A type in words. Raises KeyError for one that JSON does not have."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _said(inner[0]) + "".join(_said_of_bounds(inner[0], each) for each in inner[1:] if type(each) is Bounds)
    if origin in (Union, types.UnionType):
        return " or ".join(_said(each) for each in inner)
    if origin is Literal:
        return " or ".join(f'"{each}"' if isinstance(each, str) else str(each) for each in inner)
    return IN_WORDS[origin or hint]


def _said_of_bounds(kind: Any, bounds: Bounds) -> str:
    said = f" from {bounds.least} to {bounds.most}"
    return said if kind in (int, float) else f" of a length{said}"


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fits(value, inner[0]) and all(_within(value, each) for each in inner[1:] if type(each) is Bounds)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    kind = origin or hint
    if kind is float:
        return type(value) in (int, float)
    return kind is Any or type(value) is kind


def _within(value: Any, bounds: Bounds) -> bool:
    return bool(bounds.least <= (value if isinstance(value, int | float) else len(value)) <= bounds.most)
