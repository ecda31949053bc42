"""What several tests of real sockets share."""

from __future__ import annotations

import IPython
import pytest

from tests.cells import FakeShell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> FakeShell:
    fake = FakeShell()
    monkeypatch.setattr(IPython, "get_ipython", lambda: fake)
    return fake
