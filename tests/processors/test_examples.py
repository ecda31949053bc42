"""What the docstrings of processors show is so."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import streamkit.processors

MODULES = sorted(module.name for module in pkgutil.iter_modules(streamkit.processors.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_each_module_are_right(name: str) -> None:
    module = import_module(f"streamkit.processors.{name}")
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert found.attempted > 0 or name == "nothing"
    assert found.failed == 0
