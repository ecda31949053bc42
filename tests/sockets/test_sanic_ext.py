"""Beside Sanic Extensions, which Sanic loads into every app by itself where they are installed.

They are in none of our extras, as all other tests would then run with them: they are put into a folder that only the
processes started here look into. pydantic, which they use where it is installed, is there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.servers import ROOT, python, read_line, said

INSTALL_S = 300.0
RUN_S = 120.0

LLM = """
    import os, sys
    from functools import partial
    import httpx2
    import streamkit as sk
    from tests.extended_app import make_extended
    llm = sk.serve(partial(sk.create_upstream, sk.Script(["床前", "明月光"], 1, 1, preset="openai")))
    os.environ["TEST_UPSTREAM"] = llm.url
"""


@pytest.fixture(scope="module", autouse=True)
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sanic Extensions and nothing else, where the processes of this file find them."""
    folder = tmp_path_factory.mktemp("extensions")
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), "sanic-ext"]
    env = {**os.environ, "PIP_USER": "0"}  # a user's pip.conf may ask for --user, which --target excludes
    subprocess.run([sys.executable, *command], check=True, timeout=INSTALL_S, env=env)
    assert (folder / "sanic_ext").is_dir()
    assert import_module("pydantic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
        yield


def test_the_processes_of_this_file_have_them() -> None:
    script = python("import sanic; print(type(sanic.Sanic('plain').ext).__module__)")
    assert said(script) == ("sanic_ext.bootstrap\n", "")


def test_the_demo_runs(tmp_path: Path) -> None:
    words = ["demo", "--first-piece-ms", "5", "--gap-ms", "1", "--jitter-ms", "0", "--out", str(tmp_path / "x.png")]
    done = subprocess.run(
        [sys.executable, "-m", "streamkit", *words], capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, f"picture: {tmp_path / 'x.png'}\n")
    assert "举头望明月" in done.stdout


def test_a_lab_with_its_relay_streams_wherever_its_parts_are() -> None:
    script = python(
        LLM
        + """
    script = sk.Script(["a", "b"], 1, 1)
    for roles in ("threads", "processes", "one loop"):
        print(sk.run(sk.Lab.once(script, roles=roles)).text)
    llm.stop()
    """
    )
    assert said(script, within_s=RUN_S) == ("ab\nab\nab\n", "")


def test_our_own_apps_are_as_they_are_without_them() -> None:
    script = python(
        LLM
        + """
    with sk.serve(partial(sk.create_app, upstream=llm.url, preset="openai")) as relay:
        for server in (relay, llm):
            print(hasattr(server.app, "_ext"), httpx2.get(server.url + "/docs").status_code)
        print(httpx2.post(relay.url + "/ans", data={"chat_history": "hi"}).text)
    llm.stop()
    print(sk.servers())
    """
    )
    assert said(script, within_s=RUN_S) == ("False 404\nFalse 405\n床前明月光\n[]\n", "")


@pytest.mark.parametrize("where", [{}, {"process": True}, {"unix": True}, {"process": True, "unix": True}], ids=str)
def test_somebody_elses_app_starts_with_their_features_and_our_relay_and_stops(where: dict[str, bool]) -> None:
    script = python(
        LLM
        + f"""
    with sk.serve("tests.extended_app:make_extended", **{where}) as server:
        transport = httpx2.HTTPTransport(uds=server.unix)
        with httpx2.Client(transport=transport, base_url="http://127.0.0.1" + f":{{server.port}}") as client:
            print(client.post("/checked", json={{"chat_history": "hi"}}).json())
            print(client.get("/docs/openapi.json").json()["paths"]["/checked"]["post"]["summary"])
            print(client.post("/ans", data={{"chat_history": "hi"}}).text)
            print(client.head("/health").status_code)
    llm.stop()
    print(sk.servers())
    """
    )
    checked = "{'asked': 'hi', 'model': 'theirs'}\nWhat was asked, and whom.\n"
    assert said(script, within_s=RUN_S) == (checked + "床前明月光\n200\n[]\n", "")


def test_it_knows_where_it_is_served_and_may_be_started_again() -> None:
    script = python(
        LLM
        + """
    for _ in range(2):
        with sk.serve(make_extended) as server:
            print(server.app.serve_location == server.url)
    with sk.serve(make_extended, unix=True) as server:
        print(server.unix in server.app.serve_location)
    llm.stop()
    """
    )
    assert said(script, within_s=RUN_S) == ("True\nTrue\nTrue\n", "")


def test_in_the_foreground_a_signal_is_its_normal_end() -> None:
    script = python(
        """
    import os
    from streamkit.serving.foreground import run_forever
    os.environ["TEST_UPSTREAM"] = "http://127.0.0.1:9"
    run_forever("tests.extended_app:make_extended", on_ready=lambda url: print(url, flush=True))
    print("returned")
    """
    )
    assert read_line(script).startswith("http://127.0.0.1:")
    script.send_signal(signal.SIGTERM)
    assert said(script, within_s=RUN_S) == ("returned\n", "")


def test_the_command_line_serves() -> None:
    command = [sys.executable, "-m", "streamkit", "serve", "--port", "0", "--upstream", "http://127.0.0.1:9"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert "http://127.0.0.1:" in read_line(process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=RUN_S)
    assert process.returncode == 0
    assert "Traceback" not in errors
