"""The strict connection, as others take it; what it does is in tests/sockets/test_hostile_clients.py."""

from __future__ import annotations

from sanic import Sanic
from sanic.server.protocols.http_protocol import HttpProtocol

import streamkit.app
from streamkit.relay.request import connection


def test_it_stands_beside_the_blueprint_for_apps_of_somebody_elses() -> None:
    assert streamkit.app.Connection is connection.Connection
    assert issubclass(streamkit.app.Connection, HttpProtocol), "what `app.create_server(protocol=…)` takes"
    assert issubclass(connection.RelayApp, Sanic)
