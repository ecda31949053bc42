"""Which gateways are audited, how each is started, and what has to be said of that beside its certificate."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from shutil import which
from typing import Final

from benchmarks.audited import remarks
from streamkit.lab.audit import Gateway
from streamkit.lab.experiments import naive

__all__ = ["AUDITED", "Audited"]

LITELLM: Final = (
    "env LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true "
    "UPSTREAM={upstream}/v1 litellm --config benchmarks/audited/litellm.yaml --host 127.0.0.1 --port {port} "
    "--telemetry False"
)
PYTHON: Final = sys.executable


@dataclass(frozen=True)
class Audited:
    """One page: its name, its title, the gateway, what it is made of, and how one gets and starts it.

    `remarks` are what was run, what can be configured, and what could not be judged.
    """

    name: str
    title: str
    gateway: Gateway
    made_of: Sequence[str]
    setup: Sequence[str]
    remarks: Sequence[str] = ()

    @property
    def missing(self) -> str | None:
        """What keeps it from running here, or None."""
        for part in self.made_of:
            if VERSIONS.get(part, _installed)(part) is None:
                return f"{part} is not installed"
        return None

    @property
    def versions(self) -> str:
        """Of all that it is made of."""
        return ", ".join(f"{part} {VERSIONS.get(part, _installed)(part)}" for part in self.made_of)


def _installed(part: str) -> str | None:
    try:
        return version(part)
    except PackageNotFoundError:
        return None


def _said(*command: str) -> str | None:
    """The first number that a program tells as its version."""
    if which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # fixed commands
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


def _litellm(_: str) -> str | None:
    return _said("litellm", "--version")


def _nginx(_: str) -> str | None:
    return _said("nginx", "-v")


def _python(_: str) -> str:
    return platform.python_version()


VERSIONS: Final[dict[str, Callable[[str], str | None]]] = {"litellm": _litellm, "nginx": _nginx, "CPython": _python}


def _command(words: str, name: str, *, asked: str = "") -> str:
    """As a reader types it."""
    return f"streamkit audit{asked} --name '{name}' \\\n    --start '{words}'"


def _nginx_before(block: str, name: str, title: str, told: Sequence[str]) -> Audited:
    words = f"python -m benchmarks.audited.nginx {block} {{port}} {{upstream}}"
    gateway = Gateway(start=words.replace("python", PYTHON, 1), name=name)
    return Audited(name, title, gateway, ("nginx",), (_command(words, name),), told)


OURS: Final = "python -m streamkit serve --port {port} --upstream {upstream} --preset openai"
FASTAPI: Final = (
    "env UPSTREAM={upstream} python -m uvicorn benchmarks.audited.fastapi_httpx:app --host 127.0.0.1 --port {port} "
    "--log-level warning"
)


def _ours(name: str, title: str, more: str, told: Sequence[str]) -> Audited:
    words = f"{OURS}{more}"
    gateway = Gateway(start=words.replace("python", PYTHON, 1), client_preset="streamkit", name=name)
    return Audited(
        name,
        title,
        gateway,
        ("sanic", "CPython"),
        (_command(words, name, asked=" --client-preset streamkit"),),
        told,
    )


AUDITED: Final = {
    each.name: each
    for each in (
        _ours("streamkit", "streamkit serve", "", remarks.OURS),
        _ours("streamkit-resume", "streamkit serve --resume", " --resume", remarks.RESUME),
        Audited(
            "litellm",
            "LiteLLM's proxy",
            Gateway(start=LITELLM, name="litellm"),
            ("litellm",),
            (
                "python3 -m venv litellm-venv && litellm-venv/bin/pip install 'litellm[proxy]==1.108.7'",
                'export PATH="$PWD/litellm-venv/bin:$PATH"',
                _command(LITELLM, "litellm"),
            ),
            remarks.LITELLM,
        ),
        _nginx_before("default", "nginx", "nginx, proxy_pass alone", remarks.NGINX),
        _nginx_before("operating", "nginx-operating", "nginx, as docs/operating.md has it", remarks.OPERATING),
        Audited(
            "fastapi",
            "FastAPI and httpx, a plain relay",
            Gateway(start=FASTAPI.replace("python", PYTHON, 1), name="fastapi"),
            ("fastapi", "uvicorn", "httpx", "CPython"),
            ("pip install fastapi uvicorn httpx", _command(FASTAPI, "fastapi")),
            remarks.FASTAPI,
        ),
        Audited(
            "article",
            "The article's relay: Sanic and requests",
            Gateway(app=naive.article, preset="seed", client_preset="text", name="article"),
            ("sanic", "requests", "CPython"),
            ("python -m benchmarks.audited article",),
            remarks.ARTICLE,
        ),
    )
}
