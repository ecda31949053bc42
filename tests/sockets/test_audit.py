"""The audit, against gateways that run: each planted fault is found, and nothing where there is none."""

from __future__ import annotations

import asyncio
import sys

import pytest

from streamkit.errors import ServerError
from streamkit.lab.audit import Certificate, Gateway, audit
from streamkit.lab.audit.witness import FINDINGS
from tests.bad_gateway import FAULTS

STREAMS = ("endings", "text", "leaving", "timers")
ELSEWHERE = {
    "holds": ("pace",),
    "compresses": ("pace",),
    "hoards": ("back-pressure",),
    "queues": ("side by side",),
    "skips": ("resuming",),
    "misspells": ("heads",),
    "sulks": ("back-pressure",),
}
"""Faults that only streams of another aspect meet: these are tried beside the others."""


def bad(fault: str = "") -> Gateway:
    command = f"{sys.executable} -m tests.bad_gateway {{port}} {{upstream}} {fault}"
    return Gateway(start=command, name=fault or "good")


def audited(gateway: Gateway, *only: str) -> Certificate:
    return asyncio.run(audit(gateway, quick=True, seconds=0.8, only=only))


def test_of_a_good_gateway_nothing_is_found_and_all_is_judged() -> None:
    certificate = audited(bad())
    assert certificate.codes == [], str(certificate)
    assert {one.scenario for one in certificate.judgements if one.unjudged} == {"cut at every byte"}


def test_nor_of_ours() -> None:
    command = f"{sys.executable} -m streamkit serve --port {{port}} --upstream {{upstream}} --preset openai"
    certificate = audited(Gateway(start=command, client_preset="streamkit"))
    assert certificate.codes == [], str(certificate)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_found_and_no_other(fault: str) -> None:
    certificate = audited(bad(fault), *STREAMS, *ELSEWHERE.get(fault, ()))
    assert certificate.codes == [FAULTS[fault]], str(certificate)


def test_there_is_a_planted_fault_for_each_finding_but_one() -> None:
    assert set(FINDINGS) - set(FAULTS.values()) == {"text_changed"}
