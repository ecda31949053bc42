"""The doors of the lab's rooms: what they show, and that showing costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

DOORS = ("streamkit.lab.net", "streamkit.lab.upstream", "streamkit.lab.upstream.faults", "streamkit.lab.experiments")
HEAVY = {"sanic", "requests", "numpy", "matplotlib", "uvloop"}


@pytest.mark.parametrize("name", DOORS)
def test_dir_of_a_room_shows_its_names_and_nothing_else(name: str) -> None:
    room = import_module(name)
    assert dir(room) == sorted(room.__all__)
    assert all(getattr(room, each) is not None for each in room.__all__)
    with pytest.raises(AttributeError):
        room.nothing_of_this_name  # noqa: B018  # that it raises is the claim


def test_a_name_of_a_room_is_no_module_in_it() -> None:
    experiments = import_module("streamkit.lab.experiments")
    import_module("streamkit.lab.experiments.timeouts")
    import_module("streamkit.lab.experiments.silences")
    assert callable(experiments.timeout_map)


def test_who_writes_scripts_and_networks_loads_no_server() -> None:
    code = f"import json, sys, {', '.join(DOORS)}; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(json.loads(answer.stdout))
