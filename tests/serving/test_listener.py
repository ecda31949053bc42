"""A bound socket: what is taken, what is left alone, and what goes with it."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from streamkit.errors import ServerError
from streamkit.serving.listener import listen


def test_a_free_port_is_known_at_once_and_small_writes_will_not_wait() -> None:
    with closing(listen()) as listener:
        assert listener.url == f"http://127.0.0.1:{listener.port}"
        assert listener.sock.proto == socket.IPPROTO_TCP, "asyncio sets TCP_NODELAY only on these"


def test_a_taken_port_names_host_and_port_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=rf"127\.0\.0\.1 port {port}: Address already in use; .*port 0 takes"):
            listen(port=port)


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ServerError, match="cannot bind to 'no such host'"):
        listen("no such host")


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with closing(listen(unix=path)):
        answers(path)


def test_a_socket_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "live.sock"
    with closing(listen(unix=path)):
        with pytest.raises(ServerError, match=r"a server listens on .*live\.sock"):
            listen(unix=path)
        answers(path)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ServerError, match="is not a socket"):
        listen(unix=path)
    assert path.read_text() == "mine"


def test_a_path_too_long_for_a_unix_socket_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="at most 107 bytes"):
        listen(unix=tmp_path / ("x" * 108))


def test_a_socket_file_that_is_not_ours_any_more_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with closing(listen(unix=path)):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


def test_closing_takes_the_file_along_and_a_fresh_folder_too(tmp_path: Path) -> None:
    given, fresh = listen(unix=tmp_path / "a.sock"), listen(unix=True)
    assert fresh.unix is not None
    for listener in (given, fresh):
        listener.close()
        listener.close()
    assert list(tmp_path.iterdir()) == []
    assert not Path(fresh.unix).parent.exists()


def answers(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
