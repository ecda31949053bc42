"""The campaign of proxies: it starts and ends whatever program it is given, and sees what that does to a stream."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

import streamkit as sk
from campaigns.proxies import ACCEPTS, PROXIES, Proxy, ask, running, until_close

# A proxy in a dozen lines, as a "configuration" for Python: passes each read on, or keeps all of them to the end, and
# ends every answer as if it were whole.
STANDIN = """
import socket, sys, threading
keep = {options!r} == "keep"
def pump(source, sink, keep):
    kept = b""
    try:
        while data := source.recv(65536):
            if keep: kept += data
            else: sink.sendall(data)
            if data.endswith(b"0\\r\\n\\r\\n"): break
    except OSError: pass
    if keep:
        body = kept.partition(b"\\r\\n\\r\\n")[2]
        sink.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-type: text/plain\\r\\n")
        sink.sendall(b"content-length: %d\\r\\n\\r\\n" % len(body) + body)
    sink.shutdown(socket.SHUT_WR)
def serve(client):
    with client, socket.create_connection(("127.0.0.1", {backend})) as server:
        up = threading.Thread(target=pump, args=(client, server, False), daemon=True)
        up.start()
        try: pump(server, client, keep)
        except OSError: pass
listener = socket.create_server(("127.0.0.1", {port}))
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def standin(options: str) -> Proxy:
    return Proxy("stand-in", sys.executable, STANDIN, ("{config}",), options)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_a_proxy_that_passes_everything_on_is_seen_as_none() -> None:
    with until_close(4) as port, running(standin("pass"), port) as url:
        seen = asyncio.run(ask(url, url, gzip=False, accepts=()))
    assert (seen.whole, seen.reads >= 3, seen.gap_ms >= 50) == ("truncated", True, True)  # its end proves nothing


def test_a_proxy_that_keeps_everything_is_seen_as_one_late_read_and_a_cut_that_looks_whole() -> None:
    broken = sk.Script(["one ", "two ", "three "], 10, 10, preset="openai", faults=[sk.faults.Cut(3)])
    with sk.Lab(broken) as lab:
        assert lab.relay is not None
        bare = asyncio.run(ask(lab.relay.url + "/ans", lab.relay.url + "/ans", gzip=False))
        with running(standin("keep"), port_of(lab.relay.url)) as url:
            seen = asyncio.run(ask(url + "/ans", url + "/ans", gzip=False, accepts=("text",)))
    assert set(bare.broken) == set(ACCEPTS)
    assert "complete" not in bare.broken.values()
    assert (seen.reads, seen.broken) == (1, {"text": "complete"})


def test_nothing_of_a_proxy_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with until_close(1) as port, running(standin("pass"), port) as url:
        assert port_of(url) != port
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port_of(url)), 1)


def test_a_proxy_that_does_not_start_says_what_it_said() -> None:
    broken = Proxy("broken", sys.executable, "raise SystemExit('no such option')  # {options}", ("{config}",))
    with pytest.raises(RuntimeError, match="no such option"), running(broken, 1):
        pass


def test_every_setting_has_a_name_of_its_own_and_a_configuration_that_can_be_filled() -> None:
    assert len({proxy.name for proxy in PROXIES}) == len(PROXIES)
    for proxy in PROXIES:
        assert "127.0.0.1:18000" in proxy.config.format(folder="/f", port=18000, backend=18001, options=proxy.options)
