"""nginx with `proxy_buffering off`: it passes the bytes on and extracts nothing, so its figure is no relay's.

One process (`master_process off`), which replaces this one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

from streamkit.serving.listener import free_port

CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /ans {{
            proxy_pass {upstream};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


def main() -> None:
    """Write the configuration into a folder of its own, say where it will listen, and become nginx."""
    program = which("nginx")
    assert program is not None, "nginx is not installed"
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="streamkit-nginx-"))
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, upstream=urlsplit(sys.argv[1]).geturl()))
    print(f"ready http://127.0.0.1:{port}/ans", flush=True)
    os.execv(program, [program, "-e", "stderr", "-p", str(folder), "-c", str(config)])  # noqa: S606  # fixed arguments, no shell


if __name__ == "__main__":
    main()
