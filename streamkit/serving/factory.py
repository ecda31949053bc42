"""From a factory to an app that can be started, and back: build(), forget()."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import threading
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from streamkit.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sanic import Sanic

    App: TypeAlias = Sanic[Any, Any]
    Factory: TypeAlias = Callable[[], App] | str

__all__ = ["after_fork", "build", "check_factory", "forget"]

_building = threading.RLock()
_ours: list[App] = []  # apps built here and not yet forgotten, oldest first


def check_factory(factory: object) -> None:
    """Raise TypeError (ValueError for a malformed import string) unless `factory` could be one; calls nothing."""
    from sanic import Sanic

    if isinstance(factory, str):
        module, colon, name = factory.partition(":")
        if not (module and colon and name):
            raise ValueError(f'expected an import string such as "package.module:make_app", got {factory!r}')
    elif isinstance(factory, Sanic):
        raise TypeError(
            "expected a factory, got a Sanic app: an app can be started only once, so pass a function that makes "
            "a new one each time (def make_app(): app = Sanic(...); ...; return app) and serve(make_app)"
        )
    elif not callable(factory):
        raise TypeError(
            "expected a factory, that is a callable without arguments that returns a new sanic.Sanic, or an import "
            f'string such as "package.module:make_app"; got {_kind(factory)}'
        )


def build(factory: Factory, *, alone: bool = False) -> App:
    """Call the factory and prepare the app it returns for `run_app`; `forget` is the inverse.

    `alone` says that the process will serve no other app: Sanic then compiles its classes for this one (TouchUp),
    whatever the app's own setting, unless it is in debug mode. A request has 13 signals that nobody listens to; looking
    for listeners takes a tenth of a short request's time.

    Raises TypeError for what is no factory, ValueError for a malformed import string, ServerError when the factory
    raises (chained) or returns anything but a Sanic app that has not been started yet. After an error no app of it is
    left in Sanic's registry.
    """
    from sanic import Sanic

    from streamkit.inside_sanic import app_registry

    check_factory(factory)
    with _building:
        before = dict(app_registry())
        try:
            app = _new_app(_call(_resolve(factory)))
        except BaseException:
            for left in [app for name, app in app_registry().items() if before.get(name) is not app]:
                Sanic.unregister_app(left)
            app_registry().update(before)
            raise
        _ours.append(app)
    _prepare(app, alone=alone)
    return app


def forget(app: App) -> None:
    """Take an app that has ended out of Sanic's registry, so that its name is free again."""
    from sanic import Sanic

    from streamkit.inside_sanic import app_registry

    with _building:
        if app in _ours:
            _ours.remove(app)
        if app_registry().get(app.name) is app:
            Sanic.unregister_app(app)
        for other in _ours:
            app_registry().setdefault(other.name, other)


def after_fork() -> None:
    """In a forked child: the thread that held the lock may not exist here."""
    global _building
    _building = threading.RLock()


def _resolve(factory: Factory) -> Callable[[], object]:
    if not isinstance(factory, str):
        return factory
    module_name, _, path = factory.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
    except Exception as error:
        raise ServerError(f"the factory {factory!r} cannot be imported: {_told(error)}") from error
    check_factory(found)
    return cast("Callable[[], object]", found)


def _call(make: Callable[[], object]) -> object:
    from sanic.exceptions import SanicException

    try:
        try:
            return make()
        except SanicException as error:
            if not _free_name(error):
                raise
            return make()
    except Exception as error:
        raise ServerError(f"the factory raised {_told(error)}") from error


def _free_name(error: Exception) -> bool:
    """Let a factory with a fixed app name have several apps alive at once.

    Sanic refuses a name that is in its registry. Serving does not need the registry (only `Sanic.get_app(name)`
    does), so an app of ours makes room: `get_app` then finds the newest of that name.
    """
    from sanic import Sanic

    from streamkit.inside_sanic import app_registry

    for app in _ours:
        if f'"{app.name}" already in use' in str(error) and app_registry().get(app.name) is app:
            Sanic.unregister_app(app)
            return True
    return False


def _new_app(made: object) -> App:
    from sanic import Sanic

    if inspect.iscoroutine(made):
        made.close()
        raise ServerError("expected a Sanic app from the factory, got a coroutine: make it a plain `def`")
    if not isinstance(made, Sanic):
        raise ServerError(f"expected a Sanic app from the factory, got {_kind(made)}: does it end in `return app`?")
    if made in _ours or made.state.is_started:
        raise ServerError(
            f"the factory returned the app {made.name!r} a second time: an app can be started only once, "
            "so the factory has to make a new one in each call"
        )
    return made


def _prepare(app: App, *, alone: bool) -> None:
    from streamkit.inside_sanic import is_touched_up

    # TouchUp writes one app's signals into Sanic's classes for good: the second app in the process would crash.
    app.config.TOUCHUP = alone and not app.debug and not is_touched_up()
    app.config.MOTD = False
    os.environ.setdefault("SANIC_IGNORE_PRODUCTION_WARNING", "true")
    if not app.debug and app.configure_logging:
        for name in ("sanic.root", "sanic.server"):  # back at INFO with every new Sanic(); warnings stay
            logging.getLogger(name).setLevel(logging.WARNING)


def _kind(value: object) -> str:
    """The type, never the repr: a partial's repr shows its arguments, and a key may be among them."""
    return "None" if value is None else f"a value of type {type(value).__name__!r}"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
