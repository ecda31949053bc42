"""audit(): all scenarios against one gateway, those that do not disturb each other side by side; a Certificate."""

from __future__ import annotations

import asyncio
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from streamkit._version import __version__
from streamkit.errors import ConfigError, ServerError
from streamkit.lab.arguments import check_listener, check_number, check_whole
from streamkit.lab.audit.bench import Bench
from streamkit.lab.audit.certificate import Certificate
from streamkit.lab.audit.gateway import Gateway
from streamkit.lab.audit.heads import head_of, judge_head
from streamkit.lab.audit.judging import judge, without
from streamkit.lab.audit.judging_alone import judge_crowd, judge_flood, judge_pace
from streamkit.lab.audit.resuming import cut_everywhere, judge_resuming, offers, resuming
from streamkit.lab.audit.room import flood_bytes
from streamkit.lab.audit.scenarios import ASPECTS, Scenario, catalogue, clean, crowd, flood, pace
from streamkit.lab.audit.witness import AuditFact, AuditFinding, FindingCode, Judgement, Witness
from streamkit.lab.bar import plain_bar
from streamkit.lab.upstream import Script, faults
from streamkit.reasons import masked

__all__ = ["SILENCE_S", "audit"]

SILENCE_S: Final = 5.0
QUICK_SILENCE_S: Final = 1.0
PATIENCE_S: Final = 20.0
QUICK_PATIENCE_S: Final = 3.0
AT_ONCE: Final = 8
CROWD: Final = 4
WARM_UP: Final = 3
"""So often a gateway that has just begun to listen is asked, before it is given up."""
PACE_TRIES: Final = 3
EVERY_QUICK: Final = 29
RECOVERY_TRIES: Final = 2
RECOVERY_S: Final = 60.0
QUICK_RECOVERY_S: Final = 5.0
FIRST_BYTES: Final = 300
TIMED: Final[frozenset[FindingCode]] = frozenset(("false_failure", "never_told", "cancelled_late", "own_timer"))
"""What a busy machine could have caused: it is tried again, alone, and counts if it happens again."""
FEW: Final = 3
"""What happened in more scenarios than that was no accident."""


async def audit(
    gateway: Gateway,
    *,
    seconds: float | None = None,
    quick: bool = False,
    only: Collection[str] = (),
    seed: int = 0,
    on_progress: Callable[[str], object] | None = None,
    progress: bool = True,
) -> Certificate:
    """Put a gateway between our scripted upstream and our recorder, break everything that can break, and judge it.

        gateway = sk.experiments.Gateway(app=sk.experiments.naive.article, preset="seed", client_preset="text")
        print(await sk.experiments.audit(gateway, quick=True))

    It takes a minute or two.

    gateway      what to audit: a `Gateway`
    seconds      the longest silence that the gateway has to bear (5 s; quick: 1 s). Nothing is said about longer ones
    quick        about ten seconds: shorter silences, fewer cuts
    only         names of scenarios, or of aspects ("endings", "text", "pace", …), to try only these
    seed         the same seed asks for the same
    on_progress  called with a line for each thing that is tried, instead of the progress bar
    progress     show a progress bar

    Raises ServerError if the gateway does not start, or gives no text even for the plainest answer: then there is
    nothing to judge, and the message has what it said. ConfigError for an unknown name in `only`.
    """
    silence_s = seconds if seconds is not None else QUICK_SILENCE_S if quick else SILENCE_S
    check_number("seconds", silence_s, "seconds", zero=False)
    check_whole("seed", seed)
    check_listener("on_progress", on_progress)
    if not isinstance(gateway, Gateway):
        raise TypeError(f"expected a Gateway, such as Gateway(start='…'), got {gateway!r}")
    began_s = time.monotonic()
    plan = _Plan(gateway.preset, silence_s, quick, frozenset(only), seed)
    shown = progress and on_progress is None
    with plain_bar(None, unit="scenarios", shown=shown) as show:
        async with Bench.of(gateway) as bench:
            auditing = _Auditing(bench, plan, on_progress or _counted(show))
            judgements = await auditing.run()
            said = bench.running.said(gateway.secrets)
    took = f"{len(judgements)} scenarios in {time.monotonic() - began_s:.0f} s"
    judgements = [_discreet(judgement, gateway.secrets) for judgement in judgements]
    return Certificate(gateway.label, tuple(judgements), _about(gateway, silence_s, took), said)


def _counted(show: Callable[[int, str], None]) -> Callable[[str], None]:
    """What is tried, in a line that begins with how many were: beside a bar that counts."""

    def tell(line: str) -> None:
        count, _, what = line.partition(": ")
        show(int(count), what)

    return tell


def _about(gateway: Gateway, silence_s: float, took: str) -> dict[str, str]:
    return {
        "asked": f"POST {gateway.where}, answers in {gateway.speaks}; its upstream speaks {gateway.preset}",
        "longest silence": f"{silence_s:g} s",
        "tried": took,
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "by": f"streamkit {__version__}, CPython {platform.python_version()}, {sys.platform}",
    }


class _Plan:
    """Which scenarios there are, and which of them are tried."""

    def __init__(self, preset: str, silence_s: float, quick: bool, only: frozenset[str], seed: int) -> None:
        self.quick = quick
        self.clean = clean(preset)
        self.paces = [pace(preset, pieces=16 if quick else 40), pace(preset, like_browser=True, pieces=16)]
        self.crowd = crowd(preset)
        self.flood = flood(preset, flood_bytes())
        self.resuming = resuming(preset)
        self.heads = [
            _head("the head of an answer", self.clean.script),
            _head("the head of a refusal", _refusal(preset)),
        ]
        self.patience_s = QUICK_PATIENCE_S if quick else PATIENCE_S
        self.side_by_side = catalogue(preset, silence_s=silence_s, patience_s=self.patience_s, seed=seed)
        every = [self.clean, *self.paces, self.crowd, self.flood, self.resuming, *self.heads, *self.side_by_side]
        names = {each.name for each in every}
        if unknown := only - names - set(ASPECTS):
            raise ConfigError(
                f"expected only as one of {', '.join(ASPECTS)}, or a scenario's name, got {', '.join(sorted(unknown))}"
            )
        self._only = only

    def wants(self, scenario: Scenario) -> bool:
        return not self._only or scenario.name in self._only or scenario.aspect in self._only


def _head(name: str, script: Script) -> Scenario:
    return Scenario(name=name, aspect="heads", script=script)


def _refusal(preset: str) -> Script:
    return Script(preset=preset, faults=[faults.Status(429, retry_after=2)])


class _Auditing:
    def __init__(self, bench: Bench, plan: _Plan, tell: Callable[[str], object]) -> None:
        self._bench = bench
        self._plan = plan
        self._tell = tell
        self._at_once = AT_ONCE
        self._done = 0

    async def run(self) -> list[Judgement]:
        """In an order in which the later knows what the earlier found out."""
        plan = self._plan
        first, found = await self._warm()
        judgements = [found] if plan.wants(plan.clean) else []
        judgements += await self._crowd()
        judgements += await self._paces()
        judgements += await self._side_by_side([each for each in plan.side_by_side if plan.wants(each)])
        if plan.wants(plan.resuming):
            resumed = await self._resuming(first)
            judgements = [_awaited(each) if resumed.facts else each for each in judgements]
            judgements.append(resumed)
        for scenario in filter(plan.wants, plan.heads):
            self._note(scenario.name)
            asked = await head_of(self._bench.running.url, self._bench.question(scenario.script), plan.patience_s)
            judgements.append(judge_head(scenario, *asked))
        if plan.wants(plan.flood):
            self._note(plan.flood.name)
            judgements.append(judge_flood(plan.flood, await self._bench.flood(plan.flood)))
        judgements.append(await self._recovered(found))
        return judgements

    def _note(self, what: str) -> None:
        self._done += 1
        self._tell(f"{self._done}: {what}")

    async def _warm(self) -> tuple[Witness, Judgement]:
        """The plainest answer. Raises ServerError where no text of it comes."""
        for attempt in range(WARM_UP):
            self._note(self._plan.clean.name)
            witness = await self._bench.ask(self._plan.clean)
            if witness.sides and witness.recording.text and witness.recording.outcome.name != "refused":
                return witness, judge(self._plan.clean, witness, self._bench.address)
            await asyncio.sleep(0.3 * (attempt + 1))
        raise ServerError(self._why_not(witness))

    def _why_not(self, witness: Witness) -> str:
        """What the gateway said instead of an answer."""
        secrets = self._bench.gateway.secrets
        recording = witness.recording
        status = "no answer" if recording.status is None else f"status {recording.status}"
        asked = "it asked its upstream" if witness.sides else "it did not ask its upstream"
        if recording.text and recording.outcome.name != "refused" and not witness.sides:
            where = self._bench.address
            if self._bench.asked():
                return f"expected the gateway to pass the question on as it was asked, got another one at {where}"
            return f"expected the gateway to ask its upstream at {where}, got an answer without that: it asks another"
        body = masked((recording.body or b"")[:FIRST_BYTES].decode(errors="replace"), secrets)
        parts = [f"the gateway gave no text of the plainest answer ({recording.outcome}, {status}; {asked})"]
        parts += [f"it answered: {body}"] if body else []
        parts += [f"it said:\n{said}"] if (said := self._bench.running.said(secrets)) else []
        return "\n".join(parts)

    async def _judged(self, scenario: Scenario) -> Judgement:
        return judge(scenario, await self._bench.ask(scenario), self._bench.address)

    async def _crowd(self) -> list[Judgement]:
        """Always asked: of a gateway that serves one stream at a time, all others are asked one at a time."""
        scenario = self._plan.crowd
        for _ in range(2):
            self._note(scenario.name)
            witnesses = await asyncio.gather(*(self._bench.ask(scenario) for _ in range(CROWD)))
            judged = judge_crowd(scenario, [witness.recording for witness in witnesses])
            if not judged.found:
                break
        if judged.found:
            self._at_once = 1
        return [judged] if self._plan.wants(scenario) else []

    async def _paces(self) -> list[Judgement]:
        """That of all clients first: what is held back from all, or may be, says nothing about browsers."""
        judgements: list[Judgement] = []
        for scenario in filter(self._plan.wants, self._plan.paces):
            judgements.append(await self._pace(scenario))
            if judgements[-1].found or judgements[-1].unjudged:
                break
        return judgements

    async def _pace(self, scenario: Scenario) -> Judgement:
        """Again where something was found, or the machine was too busy to tell: either may have been an accident."""
        for _ in range(PACE_TRIES):
            self._note(scenario.name)
            bare = await self._bench.ask(scenario, bare=True)
            judged = judge_pace(scenario, await self._bench.ask(scenario), bare)
            if not judged.found and not judged.unjudged:
                break
        return judged

    async def _side_by_side(self, scenarios: Sequence[Scenario]) -> list[Judgement]:
        """In their order; the longest first, so that none is waited for at the end."""
        room = asyncio.Semaphore(self._at_once)

        async def one(scenario: Scenario) -> Judgement:
            async with room:
                self._note(scenario.name)
                return await self._judged(scenario)

        longest = sorted(scenarios, key=lambda each: -each.limit_s)
        came = dict(zip([each.name for each in longest], await asyncio.gather(*map(one, longest)), strict=True))
        for scenario in [each for each in scenarios if each.name in _accidents(came.values())]:
            self._note(f"{scenario.name}, again")
            came[scenario.name] = _second(came[scenario.name], await self._judged(scenario))
        return [came[scenario.name] for scenario in scenarios]

    async def _resuming(self, first: Witness) -> Judgement:
        scenario = self._plan.resuming
        self._note(scenario.name)
        if not offers(first.recording):
            return judge_resuming(scenario, [])
        came, asked = await cut_everywhere(self._bench, scenario, EVERY_QUICK if self._plan.quick else 1)
        return judge_resuming(scenario, came, asked)

    async def _recovered(self, first: Judgement) -> Judgement:
        """The plainest answer once more: pools leak, workers hang."""
        scenario = Scenario(name="nothing wrong, in the end", aspect="text", script=self._plan.clean.script)
        known = {finding.code for finding in first.found}
        began_s = time.monotonic()
        until_s = began_s + (QUICK_RECOVERY_S if self._plan.quick else RECOVERY_S)
        tries = 0
        while True:
            tries += 1
            self._note(scenario.name)
            judged = await self._judged(scenario)
            news = [finding for finding in judged.found if finding.code not in known]
            if not news or time.monotonic() > until_s:
                break
            await asyncio.sleep(1)
        if not news and tries <= RECOVERY_TRIES:
            return judged
        took_s = time.monotonic() - began_s
        told = f"not within {took_s:.0f} s ({news[0].seen})" if news else f"only after {took_s:.0f} s"
        late = AuditFinding("did_not_recover", scenario.name, told)
        return replace(judged, found=(late, *(each for each in judged.found if each not in news)))


def _discreet(judged: Judgement, secrets: Sequence[str]) -> Judgement:
    """What was seen may repeat what was sent: a key, in the words of an error."""
    found = tuple(replace(each, seen=without(each.seen, secrets)) for each in judged.found)
    facts = tuple(replace(each, value=without(each.value, secrets)) for each in judged.facts)
    return replace(judged, found=found, facts=facts)


def _awaited(judged: Judgement) -> Judgement:
    """Where streams can be resumed, the upstream works on for a client that may come back: that is no fault."""
    if judged.aspect != "leaving":
        return judged
    facts = [
        AuditFact("leaving", each.scenario, f"{each.seen} (who is cut off may come back)") for each in judged.found
    ]
    return replace(judged, found=(), facts=(*judged.facts, *facts))


def _second(first: Judgement, again: Judgement) -> Judgement:
    """What was seen once, and not again, is told as that."""
    once = [each for each in first.found if each.code not in {other.code for other in again.found}]
    facts = [
        AuditFact(first.aspect, each.scenario, f"once, and not again alone: {each.code}, {each.seen}") for each in once
    ]
    return replace(again, facts=(*again.facts, *facts))


def _accidents(judged: Iterable[Judgement]) -> set[str]:
    """The scenarios that are tried again."""
    each = list(judged)
    often = Counter(finding.code for one in each for finding in one.found)
    return {
        one.scenario
        for one in each
        if one.unjudged or any(finding.code in TIMED and often[finding.code] <= FEW for finding in one.found)
    }
