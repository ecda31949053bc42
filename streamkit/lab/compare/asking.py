"""compare(): several targets asked in turns, and what can be said about their differences."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streamkit.lab.arguments import check_listener, check_whole
from streamkit.lab.bar import plain_bar
from streamkit.lab.client.kept import last_recording
from streamkit.lab.compare.kept import LAST
from streamkit.lab.findings.comparing import check_asked, compare_sets
from streamkit.lab.findings.comparison import ROUND
from streamkit.lab.load.mix import Mix
from streamkit.lab.load.targets import target_of
from streamkit.lab.metrics.resampling import enough_for
from streamkit.lab.recording.measures import measure_of
from streamkit.lab.sets import RecordingSet
from streamkit.lab.sweep.schedule import planned

if TYPE_CHECKING:
    from streamkit.lab.findings.comparison import Comparison
    from streamkit.lab.load.mix import Prompts, Readers
    from streamkit.lab.load.targets import Target, TargetLike
    from streamkit.lab.metrics.resampling import At
    from streamkit.lab.recording.measures import Measure, MetricLike
    from streamkit.lab.recording.recording import Recording

__all__ = ["compare"]


async def compare(
    targets: Mapping[str, TargetLike],
    *,
    runs: int = 40,
    metric: MetricLike = "ttft",
    against: str | None = None,
    at: At | None = None,
    seed: int = 0,
    warm_up: int = 1,
    prompts: Prompts | None = None,
    readers: Readers = None,
    taps: bool = True,
    progress: bool = True,
    on_done: Callable[[Recording], object] | None = None,
    **options: Any,
) -> Comparison:
    """Ask several targets in turns, and say whether one is slower than another, by how much, and how sure that is.

        compared = await sk.compare({"a": lab, "b": "http://127.0.0.1:8000/ans"}, runs=40)
        compared.sentence      # b's first piece is 31 to 44 ms later than a's: real (p = 0.0002, 40 runs each)

    In each round every target is asked once, in an order drawn for that round, and never two at a time: whatever else
    the machine or the network is doing affects all of them. To see what chance alone does, give one target twice:
    `{"a": lab, "again": lab}`.

    targets   2 to 10 targets by name, each as for `sk.load`: a `Lab`, the URL of a server, or an async function of
              yours, `(n, visit) -> Recording`, where n is the round
    runs      how many rounds, and so how many runs of each target
    metric    what is compared: a number of `summary()`, with or without its unit (`ttft`, `duration`, `gap_p50`,
              `gap_max`, `stalls`, …); an objective, `sk.metrics.SLO(ttft_ms=500)`, by the share of runs that kept it;
              or a function of a Recording
    against   the target that the others are compared with: by default the first one; another by its name, or "best"
    at        which percentile of the runs is compared, 1 to 99 (default: the median, 50), or "mean", the default for
              counts and shares
    seed      for everything that is drawn: orders, prompts, and the resampling behind the verdict
    warm_up   how many runs of each target come first and are thrown away: the first one pays for imports and caches
    prompts, readers   what is asked, and at which pace it is read, as in `sk.load`: drawn once per round, so that all
              targets are asked the same
    taps      for targets that are Labs: join what upstream and relay saw to each recording at the end
    progress  show a progress bar
    on_done   called with each recording as it ends

    All other keywords are options of `record()`: `accept`, `preset`, `total_s`, `headers`, …. Each recording's `label`
    is its target's name, and its `labels` have its `round`: saved as a `RecordingSet`, the recordings can be compared
    again by `sk.findings.compare`, by another metric too.

    Without kernel times (TLS, systems other than Linux), each read counts as 2 ms wrong and smaller differences are not
    shown, unless `sk.calibrate()` has measured before how wrong reads are on this machine.

    When it is interrupted (Ctrl-C, a cancelled task), what has come is compared and kept: as `sk.last_comparison()` and
    as the exception's attribute `comparison`.

    Raises ValueError and TypeError for arguments that make no sense; ValueError also for fewer runs than can ever
    decide it (6; for a 95th percentile 160); and what `record()`, a function of yours, or `on_done` raises.
    """
    check_listener("on_done", on_done)
    measure = measure_of(metric)
    check_whole("runs", runs, least=1)
    check_whole("warm_up", warm_up)
    _check_targets(targets, options)
    check_asked(tuple(targets), against, at, seed)
    _check_enough(runs, 50 if at is None else at)
    asked = {
        name: target_of(each, {} if callable(each) else {"keep_bytes": False, **options}, taps=taps, pids=None)
        for name, each in targets.items()
    }
    turns = _Turns(asked, Mix(prompts, readers, seed=seed), measure, on_done)
    judged = _Judging(asked, against=against, at=at, seed=seed, runs=runs)
    try:
        async with contextlib.AsyncExitStack() as opened:
            for each in asked.values():
                await opened.enter_async_context(each.opened())
            with plain_bar(len(asked) * runs, unit="runs", shown=progress) as show:
                await turns.warm_up(warm_up)
                await turns.take(runs, seed, show)
            found = await turns.joined()
        return LAST.keep(judged.by(measure, found))
    except BaseException as error:
        LAST.carry(judged.by_whatever_there_is(measure, turns.ended), error)
        raise


class _Judging:
    """From recordings to a comparison."""

    def __init__(
        self, asked: Mapping[str, Target], *, against: str | None, at: At | None, seed: int, runs: int
    ) -> None:
        self._asked, self._runs = asked, runs
        self._against, self._at, self._seed = against, at, seed

    def by(self, measure: Measure, recordings: Mapping[str, Sequence[Recording]]) -> Comparison:
        """Their comparison by this number."""
        sets = {
            name: RecordingSet(each, meta={"target": self._asked[name].name, "seed": self._seed})
            for name, each in recordings.items()
        }
        compared = compare_sets(sets, measure, against=self._against, at=self._at, seed=self._seed)
        return replace(compared, wanted=self._runs)

    def by_whatever_there_is(self, measure: Measure, recordings: Mapping[str, Sequence[Recording]]) -> Comparison:
        """A function of the caller's may be what has failed: then by their first pieces, so that all is kept."""
        try:
            return self.by(measure, recordings)
        except Exception:  # noqa: BLE001  # whatever it is, it is raised already, or of no importance beside what is
            return self.by(measure_of("ttft"), recordings)


class _Turns:
    """Targets that are asked one after the other; `ended` are the recordings of each."""

    def __init__(
        self,
        asked: Mapping[str, Target],
        mix: Mix,
        measure: Measure,
        on_done: Callable[[Recording], object] | None,
    ) -> None:
        self.ended: dict[str, list[Recording]] = {name: [] for name in asked}
        self._asked = asked
        self._mix = mix
        self._measure = measure
        self._on_done = on_done

    async def warm_up(self, times: int) -> None:
        """Ask each of them, and keep nothing."""
        for _ in range(times):
            for target in self._asked.values():
                await target.ask(self._mix.visit(0, None))

    async def take(self, runs: int, seed: int, show: Callable[[int, str], None]) -> None:
        """Every round; a run that is interrupted is kept too."""
        names = list(self._asked)
        for turn in planned(len(names), runs, seed):
            name = names[turn.setting]
            show(turn.order, name)
            try:
                recording = await self._asked[name].ask(self._mix.visit(turn.repeat, None))
            except BaseException as error:
                if (kept := last_recording(of=error)) is not None:
                    self.ended[name].append(_labelled(kept, name, turn.repeat))
                raise
            recording = _labelled(recording, name, turn.repeat)
            self.ended[name].append(recording)
            self._measure.of(recording)  # a function that does not fit fails with the first run, and not with the last
            if self._on_done is not None:
                self._on_done(recording)

    async def joined(self) -> dict[str, list[Recording]]:
        """All of them, with what their servers saw."""
        return {name: await target.joined(self.ended[name]) for name, target in self._asked.items()}


def _labelled(recording: Recording, name: str, number: int) -> Recording:
    return replace(recording, label=name, labels={**recording.labels, ROUND: number})


def _check_targets(targets: object, options: Mapping[str, Any]) -> None:
    if not isinstance(targets, Mapping):
        raise TypeError(f"expected targets by name, such as {{'a': lab, 'b': url}}, got {targets!r}")
    for name in targets:
        if not isinstance(name, str) or not name:
            raise TypeError(f"expected a target's name as a text, got {name!r} ({type(name).__name__})")
    if options and targets and all(map(callable, targets.values())):
        names = ", ".join(options)
        raise TypeError(f"expected no options of record() beside functions, which record themselves, got {names}")


def _check_enough(runs: int, at: At) -> None:
    least = enough_for(at)
    if runs < least:
        of = "a difference" if at in (50, "mean") else f"one of a p{at}"
        raise ValueError(f"expected runs >= {least}, got {runs}: fewer never show {of}")
