"""Somebody's app that uses Sanic Extensions, with our relay as a blueprint: importable, so that another process can
make it too. The package `sanic_ext` is there where tests/sockets/test_sanic_ext.py has put it.
"""

from __future__ import annotations

import itertools
import os
from importlib import import_module
from typing import Any

from pydantic import BaseModel
from sanic import HTTPResponse, Request, Sanic
from sanic.response import json

from streamkit.app import create_blueprint

_numbers = itertools.count()


class Question(BaseModel):
    """What `/checked` takes."""

    chat_history: str


class Model:
    """What `/checked` is given by the app."""

    name = "theirs"


def make_extended() -> Sanic[Any, Any]:
    """Validation, injection and OpenAPI, all by Sanic Extensions; the relay asks `$TEST_UPSTREAM`."""
    validate = import_module("sanic_ext").validate
    app: Sanic[Any, Any] = Sanic(f"extended-{next(_numbers)}", configure_logging=False)
    app.ext.add_dependency(Model, Model)

    @app.post("/checked")
    @validate(json=Question)  # type: ignore[untyped-decorator]  # Sanic Extensions'
    async def checked(_: Request, body: Question, model: Model) -> HTTPResponse:
        """What was asked, and whom."""
        return json({"asked": body.chat_history, "model": model.name})

    app.blueprint(create_blueprint(upstream=os.environ["TEST_UPSTREAM"], preset="openai"))
    return app
