"""What an exception of the wire means, by the names that httpx and httpx2 share."""

from __future__ import annotations

import errno
from typing import Any

import httpx
import httpx2
import pytest

from streamkit.lab.client.wire_failure import failure_of


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(
    ("name", "started", "outcome"),
    [
        ("ReadTimeout", False, "timeout(first_piece)"),
        ("ReadTimeout", True, "timeout(idle)"),
        ("ConnectTimeout", False, "timeout(connect)"),
        ("PoolTimeout", False, "timeout(pool)"),
        ("WriteTimeout", True, "timeout(write)"),
        ("ConnectError", False, "refused(connect)"),
        ("ReadError", True, "truncated"),
        ("RemoteProtocolError", False, "truncated"),
        ("ProxyError", False, "truncated"),
        ("LocalProtocolError", False, None),
        ("UnsupportedProtocol", False, None),
    ],
)
def test_each_error_of_a_library_has_its_outcome(
    library: object, name: str, started: bool, outcome: str | None
) -> None:
    found = failure_of(getattr(library, name)("http://secret"), own=False, started=started)
    assert (found and str(found.outcome)) == outcome
    assert found is None or "secret" not in found.error


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_what_the_system_said_behind_a_librarys_error_is_told_without_its_addresses(library: Any) -> None:
    try:
        try:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 80)")
        except OSError as cause:
            raise library.ConnectError("http://secret") from cause
    except library.ConnectError as error:
        found = failure_of(error, own=False, started=False)
    assert found is not None
    assert found.error == "no connection: connection refused: nobody listens there"


def test_our_own_transport_speaks_for_itself() -> None:
    found = failure_of(httpx2.ReadError("the connection was reset"), own=True, started=True)
    assert found is not None
    assert found.error == "the connection was reset"


@pytest.mark.parametrize("error", [KeyError("mine"), TimeoutError(), ConnectionError("mine")])
def test_what_is_not_of_the_wire_is_not_ours(error: Exception) -> None:
    assert failure_of(error, own=True, started=False) is None
