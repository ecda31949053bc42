"""environment.yml and pyproject.toml ask for the same packages."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("notebooks", "live", "pandas", "redis", "metrics", "dask", "parquet", "otel", "test")
PYPI_NAMES = {
    "matplotlib-base": "matplotlib",
    "brotli-python": "brotli",
    "redis-py": "redis",
    "prometheus_client": "prometheus-client",
    "python-duckdb": "duckdb",
}
"""What conda-forge calls differently."""
MARKED = {"backports.zstd": "; python_version < '3.14'"}
"""What later versions of Python have themselves, with the marker that both files give it. It comes from PyPI: conda has
no such markers.
"""
RANGED = {"sanic"}
"""What has an upper bound, with its reason in pyproject.toml. Everything else has none: a bound without a reason keeps
users from versions that work.
"""

# Always there: jupyterlab needs jupyter_server, which needs jupyter_events, which needs PyYAML. It has no type hints
# of its own, so it is imported by name.
yaml: Any = import_module("yaml")


def bounds(requirements: list[str]) -> dict[str, str]:
    """`name>=1.2` as {name: ">=1.2"}, for a package in `RANGED` `name>=1.2,<3` too; any other form is refused, as conda
    and pip write it differently.
    """
    found = {}
    for requirement in requirements:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(>=[0-9.]+(,<[0-9.]+)?)(; .+)?", requirement)
        assert match, f"expected a requirement such as numpy>=2.0, got {requirement!r}"
        name = match[1].lower()
        assert match[4] == MARKED.get(name), f"expected {name} with the marker {MARKED.get(name)}, got {requirement!r}"
        assert match[3] is None or name in RANGED, f"expected no upper bound without a reason, got {requirement!r}"
        found[name] = match[2]
    return found


def pyproject() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def wanted() -> dict[str, str]:
    """What pyproject.toml asks for, with the extras of a notebook user and a tester."""
    project = pyproject()
    own, extras = project["dependencies"], project["optional-dependencies"]
    listed = [requirement for name in EXTRAS for requirement in extras[name]]
    return bounds([*own, *(requirement for requirement in listed if not requirement.startswith("streamkit["))])


def environment() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    return content


def conda_packages() -> list[str]:
    return [entry for entry in environment()["dependencies"] if isinstance(entry, str)]


def pip_packages() -> list[str]:
    (section,) = [entry["pip"] for entry in environment()["dependencies"] if isinstance(entry, dict)]
    return list(section)


def differences(pyproject: dict[str, str], environment: dict[str, str]) -> list[str]:
    """One line for each package that the two files do not agree on."""
    return [
        f"{name}: pyproject.toml has {pyproject.get(name, 'none')}, environment.yml has {environment.get(name, 'none')}"
        for name in sorted(pyproject.keys() | environment.keys())
        if pyproject.get(name) != environment.get(name)
    ]


def test_both_files_ask_for_the_same_packages_with_the_same_bounds() -> None:
    conda = [entry for entry in conda_packages() if entry != "pip" and not entry.startswith("python>")]
    found = bounds(conda + [entry for entry in pip_packages() if entry != "-e ."])
    found = {PYPI_NAMES.get(name, name): bound for name, bound in found.items()}
    assert differences(wanted(), found) == []


def test_a_difference_is_named_with_both_sides() -> None:
    assert differences(
        {"numpy": ">=2.0", "tqdm": ">=4.66"}, {"numpy": ">=1.26", "sanic": ">=25.3", "tqdm": ">=4.66"}
    ) == [
        "numpy: pyproject.toml has >=2.0, environment.yml has >=1.26",
        "sanic: pyproject.toml has none, environment.yml has >=25.3",
    ]


def test_an_upper_bound_is_refused_unless_it_has_a_reason_and_is_then_compared() -> None:
    with pytest.raises(AssertionError, match=r"without a reason, got 'numpy>=2\.0,<3'"):
        bounds(["numpy>=2.0,<3"])
    (ranged,) = RANGED
    assert bounds([f"{ranged}>=25.3,<26"]) == {ranged: ">=25.3,<26"}
    assert differences(bounds([f"{ranged}>=25.3,<26"]), bounds([f"{ranged}>=25.3"])) == [
        f"{ranged}: pyproject.toml has >=25.3,<26, environment.yml has >=25.3"
    ]


@pytest.mark.parametrize("other", ["sanic<26", "sanic==25.12", "sanic>=25.3,!=25.9", "sanic>=25.3, <26", "sanic~=25.3"])
def test_any_other_form_is_refused_as_conda_and_pip_write_it_differently(other: str) -> None:
    with pytest.raises(AssertionError, match="expected a requirement such as"):
        bounds([other])


def test_a_marker_is_refused_unless_it_has_a_reason() -> None:
    with pytest.raises(AssertionError, match="expected numpy with the marker None"):
        bounds(["numpy>=2.0; python_version < '3.14'"])
    with pytest.raises(AssertionError, match=r"expected backports\.zstd with the marker"):
        bounds(["backports.zstd>=1.0"])


def test_what_is_bounded_above_is_what_is_said_to_be() -> None:
    assert {name for name, bound in wanted().items() if "<" in bound} == RANGED


def test_both_files_ask_for_the_same_python() -> None:
    assert f"python{pyproject()['requires-python']}" in conda_packages()


def test_the_environment_comes_from_conda_forge_alone() -> None:
    assert environment()["channels"] == ["conda-forge"]


def test_the_checkout_itself_is_installed_editable_and_last() -> None:
    assert "pip" in conda_packages(), "without it conda warns and picks one"
    assert pip_packages()[-1] == "-e ."
