"""The URL of a Redis: what is one, and that nothing shows what stands in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from streamkit.errors import ConfigError
from streamkit.relay.replay.redis import RedisStore
from streamkit.relay.settings import Resuming


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://127.0.0.1:6380/3",
        "redis://user:pass@redis.internal:6379/0",
        "redis://[::1]:6379/0",
        "rediss://redis.internal/0",
        "unix:///run/redis.sock?db=2",
    ],
)
def test_a_url_as_redis_py_has_it(url: str) -> None:
    RedisStore(url, Resuming())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        "http://127.0.0.1",
        "redis:",
        "redis://",
        "redis://:s3cret@",
        "redis://host:s3cret/0",
        "redis://host:99999/0",
        "redis://host/s3cret",
        "redis://host/0?no_such_option=s3cret",
        "redis://host/0?socket_timeout=s3cret",
        "unix://",
        "redis://[::1/0",
    ],
)
def test_what_is_no_url_of_a_redis_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="expected the URL of a Redis server, such as redis://") as error:
        RedisStore(url, Resuming())
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_nothing_shows_its_password() -> None:
    store = RedisStore("redis://user:s3cret@redis.internal:6379/0", Resuming())
    assert repr(store) == "<RedisStore: <Redis at redis.internal:6379>, 0 produced here, 0 read>"
    assert "s3cret" not in f"{store._address!r}{store._commands!r}{store._tail!r}{store._home!r}"


def test_redis_py_is_loaded_by_who_needs_it_only_and_where_it_is_missing_that_is_said() -> None:
    code = (
        "import sys, streamkit.app\n"
        "from streamkit.errors import ConfigError\n"
        "from streamkit.relay.replay.redis import RedisStore\n"
        "from streamkit.relay.settings import Resuming\n"
        "assert 'redis' not in sys.modules and 'hiredis' not in sys.modules\n"
        "sys.modules['redis'] = None\n"
        "try:\n"
        "    RedisStore('redis://127.0.0.1/0', Resuming())\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'streamkit[redis]'" in said
