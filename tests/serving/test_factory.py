"""From a factory to an app: what is one, whose name is free, and what is left after an error."""

from __future__ import annotations

from typing import Any

import pytest
from sanic import Sanic
from sanic.application.constants import Mode

from streamkit.errors import ServerError
from streamkit.serving.factory import build, check_factory, forget
from tests.server_apps import make_app, make_fixed

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_an_app_instead_of_a_factory_is_explained() -> None:
    app = Sanic("instance")
    with pytest.raises(TypeError, match="expected a factory, got a Sanic app: an app can be started only once"):
        check_factory(app)
    Sanic.unregister_app(app)


def test_what_is_no_factory_is_explained() -> None:
    with pytest.raises(TypeError, match=r"callable without arguments .* got a value of type 'int'"):
        check_factory(42)


@pytest.mark.parametrize("text", ["package.module", ":make_app", "package.module:"])
def test_malformed_import_strings_are_explained(text: str) -> None:
    with pytest.raises(ValueError, match="import string such as"):
        check_factory(text)


def test_a_coroutine_function_is_explained() -> None:
    async def make() -> Sanic[Any, Any]:
        return make_app()

    with pytest.raises(ServerError, match="got a coroutine: make it a plain `def`"):
        build(make)  # type: ignore[arg-type]  # what is tested


def test_a_name_taken_by_somebody_else_is_an_error_with_its_cause() -> None:
    other = Sanic("fixed")
    with pytest.raises(ServerError, match='"fixed" already in use'):
        build(make_fixed)
    assert Sanic.get_app("fixed") is other
    Sanic.unregister_app(other)


def test_a_factory_that_returns_its_app_again_is_explained() -> None:
    app = make_app()
    assert build(lambda: app) is app
    with pytest.raises(ServerError, match="a second time"):
        build(lambda: app)
    app.state.is_started = True
    forget(app)
    with pytest.raises(ServerError, match="a second time"):
        build(lambda: app)


def test_of_several_apps_of_one_name_the_newest_is_found_until_it_is_forgotten() -> None:
    one, two = build(make_fixed), build(make_fixed)
    assert Sanic.get_app(one.name) is two
    forget(two)
    assert Sanic.get_app(one.name) is one
    forget(one)
    assert one.name not in Sanic._app_registry


@pytest.mark.parametrize(
    ("alone", "debug", "compiled"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_an_app_is_compiled_only_alone_in_its_process_and_not_in_debug_mode(
    *, alone: bool, debug: bool, compiled: bool
) -> None:
    def make() -> Sanic[Any, Any]:
        app = make_app()
        app.state.mode = Mode.DEBUG if debug else Mode.PRODUCTION
        return app

    app = build(make, alone=alone)
    forget(app)
    assert app.config.TOUCHUP is compiled
