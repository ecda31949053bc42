"""nginx before the upstream: `python -m benchmarks.audited.nginx default|operating PORT UPSTREAM`.

`default` is `proxy_pass` and nothing else; `operating` is the block of docs/operating.md. One process, which replaces
this one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from shutil import which
from typing import Final
from urllib.parse import urlsplit

OPERATING: Final = """
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_buffering off;
            proxy_request_buffering off;
            client_max_body_size 0;
            gzip off;
            proxy_read_timeout 75s;
            proxy_send_timeout 75s;
"""
CONFIG: Final = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream model {{
        server {upstream};
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://model;
{more}
        }}
    }}
}}
"""


def main(which_block: str, port: str, upstream: str) -> None:
    """Write the configuration into a folder of its own, and become nginx."""
    program = which("nginx")
    assert program is not None, "nginx is not installed"
    folder = Path(tempfile.mkdtemp(prefix="streamkit-nginx-"))
    more = OPERATING if which_block == "operating" else ""
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, upstream=urlsplit(upstream).netloc, more=more))
    os.execv(program, [program, "-e", "stderr", "-p", str(folder), "-c", str(config)])  # noqa: S606  # fixed arguments, no shell


if __name__ == "__main__":
    main(*sys.argv[1:4])
