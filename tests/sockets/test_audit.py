"""The audit, against gateways that run: each planted fault is found, and nothing where there is none."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from streamkit.app import create_app
from streamkit.errors import ConfigError, ServerError
from streamkit.lab.audit import Certificate, Gateway, audit
from streamkit.lab.audit.witness import FINDINGS
from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.listener import free_port
from streamkit.serving.server import serve
from tests.bad_gateway import FAULTS, LINE_LIMIT
from tests.bad_gateway import Gateway as BadGateway

SILENCE_S = 0.8
AT_ONCE = 6
ENDS = ("endings", "text")
STREAMS = (*ENDS, "leaving", "timers")
TRIED = {
    **dict.fromkeys(("keeps", "dawdles", "times"), STREAMS),
    **dict.fromkeys(("holds", "compresses"), ("text", "pace")),
    **dict.fromkeys(("hoards", "sulks"), ("text", "back-pressure")),
    "queues": ("text", "side by side"),
    "skips": ("text", "resuming"),
    "misspells": ("text", "heads"),
}
"""Which aspects are tried with a fault, where that is not endings and text: pauses and floods take their time."""


def bad(fault: str = "") -> Gateway:
    command = f"{sys.executable} -m tests.bad_gateway {{port}} {{upstream}} {fault}"
    return Gateway(start=command, name=fault or "good")


@asynccontextmanager
async def here(fault: str) -> AsyncIterator[Gateway]:
    """The same in this loop: eighteen processes would take longer to start than all else takes."""
    port = free_port()
    gateway = BadGateway(f"http://127.0.0.1:{port}", fault)
    async with await asyncio.start_server(gateway.serve, "127.0.0.1", 0, limit=LINE_LIMIT) as server, gateway.client:
        own = server.sockets[0].getsockname()[1]
        yield Gateway(url=f"http://127.0.0.1:{own}/v1/chat/completions", upstream_port=port, name=fault)


def audited(gateway: Gateway, *only: str) -> Certificate:
    return asyncio.run(audit(gateway, quick=True, seconds=SILENCE_S, only=only))


def test_of_a_good_gateway_nothing_is_found_and_all_is_judged() -> None:
    certificate = audited(bad())
    assert certificate.codes == [], str(certificate)
    assert {one.scenario for one in certificate.judgements if one.unjudged} == {"cut at every byte"}


def test_nor_of_ours() -> None:
    command = f"{sys.executable} -m streamkit serve --port {{port}} --upstream {{upstream}} --preset openai"
    certificate = audited(Gateway(start=command, client_preset="streamkit"))
    assert certificate.codes == [], str(certificate)


# anyio 4.16, by which these gateways ask, leaves a socket open whose task is cancelled as it connects
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_each_planted_fault_is_found_and_no_other() -> None:
    """A few gateways at a time: an audit waits more than it works. Where that was too much for the machine, and pieces
    came late, the gateway is audited again, alone.
    """

    async def of(fault: str) -> Certificate:
        async with here(fault) as gateway:
            return await audit(gateway, quick=True, seconds=SILENCE_S, only=TRIED.get(fault, ENDS), progress=False)

    async def in_room(room: asyncio.Semaphore, fault: str) -> Certificate:
        async with room:
            return await of(fault)

    async def of_all() -> list[Certificate]:
        room = asyncio.Semaphore(AT_ONCE)
        return await asyncio.gather(*(in_room(room, fault) for fault in FAULTS))

    came = dict(zip(FAULTS, asyncio.run(of_all()), strict=True))
    doubtful = [fault for fault, certificate in came.items() if certificate.codes != [FAULTS[fault]]]
    assert len(doubtful) <= AT_ONCE, [str(came[fault]) for fault in doubtful]
    alone = {fault: asyncio.run(of(fault)) for fault in doubtful}
    gc.collect()  # here, and not in a test to come
    assert [str(certificate) for fault, certificate in alone.items() if certificate.codes != [FAULTS[fault]]] == []


def test_there_is_a_planted_fault_for_each_finding_but_one() -> None:
    assert set(FINDINGS) - set(FAULTS.values()) == {"text_changed"}


def test_where_streams_can_be_resumed_working_on_for_who_left_is_no_fault() -> None:
    command = f"{sys.executable} -m streamkit serve --port {{port}} --upstream {{upstream}} --preset openai --resume"
    certificate = audited(Gateway(start=command, client_preset="streamkit"), "leaving", "resuming")
    assert certificate.codes == [], str(certificate)
    assert certificate.grade("resuming") == "holds"
    assert any("may come back" in fact.value for fact in certificate.facts)


def test_a_gateway_that_runs_elsewhere_is_audited_by_its_url() -> None:
    port = free_port()
    with serve(partial(create_app, upstream=f"http://127.0.0.1:{port}", preset="openai")) as relay:
        gateway = Gateway(url=f"{relay.url}/ans", upstream_port=port, client_preset="text")
        certificate = audited(gateway, "text")
    assert certificate.codes == [], str(certificate)
    assert certificate.gateway == f"{relay.url}/ans"


def test_one_that_ends_is_quoted() -> None:
    command = f"{sys.executable} -c \"import sys; sys.exit('no such model: key sk-abc123def')\" {{port}}"
    with pytest.raises(ServerError, match=r"ended with status 1 before it listened; it said:\nno such model: key …$"):
        audited(Gateway(start=command))


def test_so_is_one_that_gives_no_text_and_nothing_else_is_tried() -> None:
    said: list[str] = []
    gateway = Gateway(start=bad("refuses").start, headers=[("authorization", "Bearer hunter2hunter2")])
    with pytest.raises(
        ServerError, match=r"no text of the plainest answer \(refused\(401\), status 401; it did not ask"
    ):
        asyncio.run(audit(gateway, quick=True, on_progress=said.append))
    assert {line.partition(": ")[2] for line in said} == {"nothing wrong"}


def test_one_that_asks_somebody_else_is_told_so_and_not_judged() -> None:
    with serve(partial(create_upstream, Script(preset="openai", first_piece_ms=1, gap_ms=0))) as other:
        gateway = Gateway(url=f"{other.url}/v1/chat/completions", upstream_port=(port := free_port()))
        with pytest.raises(ServerError, match=f"to ask its upstream at 127.0.0.1:{port}, got an answer without"):
            audited(gateway)


def test_one_that_does_not_exist_is_named() -> None:
    with pytest.raises(ServerError, match="'no-such-gateway' cannot be started: No such file or directory"):
        audited(Gateway(start="no-such-gateway {port}"))


def test_what_was_started_is_gone_when_the_audit_is_stopped(tmp_path: Path) -> None:
    """The shell's child too, which ends only with its group."""
    script = tmp_path / "gateway.sh"
    script.write_text(f"{sys.executable} -m tests.bad_gateway $1 $2 & echo $! > {tmp_path}/pid; wait\n")

    async def stopped() -> None:
        gateway = Gateway(start=f"sh {script} {{port}} {{upstream}}")
        auditing = asyncio.create_task(audit(gateway, quick=True))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():  # noqa: ASYNC110  # a file
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        auditing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await auditing

    asyncio.run(stopped())
    assert is_gone(int((tmp_path / "pid").read_text()))


def is_gone(pid: int) -> bool:
    """Who was killed, and whose parent too, is fetched by whoever adopts it."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_only_what_there_is_can_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="expected only as one of endings, text, pace"):
        audited(bad(), "speed")
