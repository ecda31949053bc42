"""Proxies between a stream and its client: a real nginx, and a small one of our own that does the same two things."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import quote, urlsplit

from tests.rawsockets import WAIT_S, RawServer

NGINX: Final = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")

Proxy: TypeAlias = Callable[..., contextlib.AbstractContextManager[str]]
"""`proxy(upstream, gzip=..., ignoring=...)` gives the URL at which it listens."""


@contextlib.contextmanager
def nginx(upstream: str, *, gzip: bool = False, ignoring: bool = False) -> Iterator[str]:
    """nginx as it is installed, in the foreground, with all that it writes in a folder of its own."""
    assert NGINX is not None
    with tempfile.TemporaryDirectory(prefix="ng") as folder:
        listening = Path(folder, "s")
        Path(folder, "conf").write_text(
            f"""
            daemon off; master_process off; pid {folder}/pid; error_log stderr error; events {{}}
            http {{
                access_log off;
                client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
                uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
                gzip {"on" if gzip else "off"}; gzip_types *;
                server {{
                    listen unix:{listening};
                    location / {{
                        proxy_pass {upstream};
                        {"proxy_ignore_headers X-Accel-Buffering;" if ignoring else ""}
                    }}
                }}
            }}
            """,
            "utf-8",
        )
        process = subprocess.Popen([NGINX, "-e", "stderr", "-p", folder, "-c", f"{folder}/conf"])
        try:
            _wait_for(listening, process)
            yield f"http+unix://{quote(str(listening), safe='')}"
        finally:
            process.terminate()
            process.wait(WAIT_S)


def _wait_for(listening: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + WAIT_S
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as trying:
            trying.connect(str(listening))
            return
        assert process.poll() is None, "nginx did not start; what it said is above"
        assert time.monotonic() < until, "nginx does not listen"
        time.sleep(0.01)


@contextlib.contextmanager
def stand_in(upstream: str, *, gzip: bool = False, ignoring: bool = False) -> Iterator[str]:
    """Of one stream: as nginx, compresses it where that is asked for, and keeps it back unless it is told not to."""

    def behave(client: socket.socket) -> None:
        asked = b"accept-encoding: gzip" in server.requests[-1].lower()
        with socket.create_connection((urlsplit(upstream).hostname, urlsplit(upstream).port)) as source:
            source.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            head = b""
            while b"\r\n\r\n" not in head:
                head += source.recv(1 << 16)
            head, _, body = head.partition(b"\r\n\r\n")
            buffered = ignoring or b"x-accel-buffering: no" not in head.lower()
            packer = zlib.compressobj(wbits=31) if gzip and asked else None
            coding = b"\r\nvary: accept-encoding" * gzip + b"\r\ncontent-encoding: gzip" * (packer is not None)
            waiting = head + coding + b"\r\ntransfer-encoding: chunked\r\n\r\n"
            while True:
                packed = body if packer is None else packer.compress(body)
                if not buffered:
                    packed += b"" if packer is None else packer.flush(zlib.Z_SYNC_FLUSH)
                waiting += b"%x\r\n%b\r\n" % (len(packed), packed) if packed else b""
                if not buffered:
                    client.sendall(waiting)
                    waiting = b""
                if not (body := source.recv(1 << 16)):
                    break
            rest = b"" if packer is None else packer.flush()
            client.sendall(waiting + (b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b"") + b"0\r\n\r\n")

    with RawServer(behave) as server:
        yield server.url


PROXIES: Final[Mapping[str, Proxy]] = {"stand-in": stand_in, **({} if NGINX is None else {"nginx": nginx})}
