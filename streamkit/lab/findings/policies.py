"""What a policy of back-pressure cost and gave: the numbers beside a slow client's curves, and the sentence above them.

    policy_facts(recording).dropped, policy_facts(recording).upstream_held_ns
    policies_finding({"pause": one, "latest": other})

Pure functions of recordings, no matplotlib. A number that cannot be known is None, never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streamkit.lab.findings.journey import Journey, journeys
from streamkit.lab.findings.subjects import ONE_BY_ONE, Bundle, Recordings, grouped, named, recordings_in, the_recording
from streamkit.lab.findings.timeline import describe_timeline
from streamkit.lab.findings.words import APART, NAME_LIMIT, about, byte_size, capital, enumerated, short
from streamkit.lab.metrics import percentiles_ns
from streamkit.lab.metrics.columns import utf8_sizes
from streamkit.lab.metrics.curves import Curve, time_of, times
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.tap_curves import has_borders
from streamkit.taps.gauges import NOT_KNOWN

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.outcome import Outcome
    from streamkit.taps.gauges import Gauge

    Ints = npt.NDArray[np.int64]

__all__ = [
    "Compared",
    "PolicyFacts",
    "compared",
    "describe_policies",
    "policies_finding",
    "policy_facts",
]

IN_RELAY: Final = ("relay.inbox", "relay.pending", "relay.buffer")
IN_KERNEL: Final = ("relay.unsent", "client.unread")
BORN: Final = ("upstream.due", "upstream.sent", "relay.event")  # the first that is there says when a piece came to be
OFFERED: Final = ("relay.event", "upstream.sent")

HELD_NS: Final = 100_000_000  # the upstream is held when it is at least so late: less is a shared machine's noise …
HELD_SHARE: Final = 0.05  # … and when it is more than this much of what it is under the policy that holds it longest
SENTENCE_LIMIT: Final = 205  # two lines of the figure's title


@dataclass(frozen=True, kw_only=True)
class PolicyFacts:
    """What one policy did to one stream. Times are in ns, sizes in bytes; None where something is not known.

        facts = sk.findings.policy_facts(recording)
        facts.dropped, facts.peak_relay_bytes, facts.upstream_held_ns

    outcome            how the stream ended
    total              pieces that there were to deliver: by the upstream's schedule, or as far as known
    offered            pieces that reached the relay
    received           pieces that the client got
    dropped            pieces that the policy left out (`relay.dropped_pieces`)
    not_delivered      other pieces that never arrived, such as after a cut: on their way, or never sent
    text_share         the share of the text, in bytes, that arrived (0 to 1)
    peak_relay_bytes   the most that lay in the relay's own memory for this stream: sampled, and at least its own count
                       `relay.peak_pending_bytes`. A gauge that could not be read at some moment counts as nothing
    peak_kernel_bytes  the most that lay in the kernels' queues between relay and client, likewise
    finished_ns        from the request (when it was sent, or the call) to the end
    upstream_held_ns   how much later than due the upstream sent its last piece, minus its own lateness
                       (`upstream.own_late_p95_ns`); if it did not come to its end, how long its next piece had been due
                       when the recording ended
    relay_held_ns      how long the relay made its source wait, by its own count (`relay.held_ns`)
    age_p50_ns, age_max_ns   how old the pieces were when the client got them, median and oldest; counted from when they
                       were due (or sent, or decoded by the relay, whichever is known first)
    numbers            which pieces arrived: their numbers in the stream, from 1. None if pieces were dropped and the
                       events do not tell which
    """

    outcome: Outcome
    total: int | None
    offered: int | None
    received: int
    dropped: int | None
    not_delivered: int | None
    text_share: float | None
    peak_relay_bytes: int | None
    peak_kernel_bytes: int | None
    finished_ns: int | None
    upstream_held_ns: int | None
    relay_held_ns: int | None
    age_p50_ns: int | None
    age_max_ns: int | None
    numbers: tuple[int, ...] | None = field(repr=False)

    @property
    def lost(self) -> int | None:
        """How many pieces the client never got, for whatever reason."""
        known = [count for count in (self.dropped, self.not_delivered) if count is not None]
        return sum(known) if known else None

    @property
    def held_ns(self) -> int | None:
        """How long the upstream was held; by the relay's count if there are no taps of the upstream."""
        return self.relay_held_ns if self.upstream_held_ns is None else self.upstream_held_ns


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """One recording among others: its curves and facts, and what to call it.

    It may stand for a group, of which it is the middle one; then `others` are the rest of it.
    """

    name: str
    journey: Journey
    facts: PolicyFacts
    others: Sequence[Compared] = ()

    @property
    def whole(self) -> bool:
        return self.facts.outcome.ok

    @property
    def group(self) -> list[Compared]:
        """With the others."""
        return [self, *self.others]

    @property
    def failed(self) -> int:
        """How many of the group did not complete."""
        return sum(not one.whole for one in self.group)


def policy_facts(recording: Recording) -> PolicyFacts:
    """What one policy did to one stream, in numbers: what was lost, held and kept.

        >>> facts = sk.findings.policy_facts(sk.Recording.from_pieces([(10_000_000, "hi")]))
        >>> facts.received, facts.dropped      # what cannot be known is None, never 0
        (1, None)

    Raises TypeError for what is not a recording.
    """
    curves = the_recording(recording).curves()
    client = curves["client.event"]
    numbers = _numbers(recording, client)
    received = numbers.size
    dropped = recording.counts.get("relay.dropped_pieces")
    total = _total(curves, received + (dropped or 0))
    told = not dropped or not recording.outcome.ok or client.total == received + dropped
    p50, oldest = percentiles_ns(_ages_ns(curves, numbers) if told else [], [50, 100])
    start_ns = recording.origin_ns
    return PolicyFacts(
        outcome=recording.outcome,
        total=total,
        offered=next((curves[tap].total for tap in OFFERED if tap in curves), None),
        received=received,
        dropped=dropped,
        not_delivered=None if total is None else total - received - (dropped or 0),
        text_share=_text_share(recording),
        peak_relay_bytes=_most(_peak(recording, IN_RELAY), recording.counts.get("relay.peak_pending_bytes")),
        peak_kernel_bytes=_peak(recording, IN_KERNEL),
        finished_ns=None if recording.ended_ns is None else recording.ended_ns - start_ns,
        upstream_held_ns=_upstream_held_ns(recording, curves),
        relay_held_ns=recording.counts.get("relay.held_ns"),
        age_p50_ns=p50,
        age_max_ns=oldest,
        numbers=tuple(numbers.tolist()) if told else None,
    )


def compared(recordings: Recordings) -> list[Compared]:
    """The recordings with their facts, in order, named like `findings.subjects` names them; of more than eight the
    middle one of each name, with the others.

    Raises TypeError for what is not a recording, ValueError for none at all, and for more than eight of more than eight
    names: what several policies have in common tells nothing of any.
    """
    given = named(recordings_in(recordings))
    names = len({name for name, _ in given})
    if len(given) > ONE_BY_ONE and names > ONE_BY_ONE:
        raise ValueError(
            f"expected at most {ONE_BY_ONE} policies, got {len(given):,} recordings of {names:,} names: draw some of "
            "them, or give all recordings of one policy one label (record(…, label='pause'))"
        )
    each = [
        Compared(name=name, journey=journeys({name: recording})[0], facts=policy_facts(recording))
        for name, recording in given
    ]
    return [_middle_of(group) for group in grouped(each)]


def _middle_of(group: Bundle[Compared]) -> Compared:
    """Of those that ended as most did, the one that took the middle time."""
    ((usual, _),) = Counter(one.facts.outcome for one in group.members).most_common(1)
    alike = [one for one in group.members if one.facts.outcome == usual]
    middle = sorted(alike, key=lambda one: one.facts.finished_ns or 0)[(len(alike) - 1) // 2]
    return replace(middle, name=group.name, others=[one for one in group.members if one is not middle])


def policies_finding(recordings: Recordings) -> str:
    """What sets several policies apart, as a sentence: which holds the upstream, which frees it, and at which price.

        sk.findings.policies_finding({"pause": one, "latest": other})

    It is the title of `sk.plots.policies`.
    """
    return describe_policies(compared(recordings))


def describe_policies(shown: Sequence[Compared]) -> str:
    """`policies_finding` of what is already compared: as full as two lines allow."""
    for speech in _speeches(shown):
        clauses = [clause for rule in _CLAUSES if (clause := rule(shown, speech))]
        if not clauses:
            return describe_timeline([one.journey.subject for one in shown])
        if len("; ".join(clauses)) <= SENTENCE_LIMIT:
            break
    while len("; ".join(clauses)) > SENTENCE_LIMIT and len(clauses) > 1:
        clauses.pop()
    sentence = "; ".join(clauses)
    named = tuple(speech.names[one] for one in shown if one.name)
    return sentence if sentence.startswith(named) else capital(sentence)


# --- The facts ------------------------------------------------------------------------------------------------------


def _numbers(recording: Recording, client: Curve) -> Ints:
    """Of each piece that came. Where events were left out, the curve leaps over them to the one that came."""
    return client.count if has_borders(recording) else np.arange(1, client.total + 1, dtype=np.int64)


def _total(curves: Mapping[str, Curve], known: int) -> int | None:
    born = [curves[tap].total for tap in BORN if tap in curves]
    return max(known, *born) if born else None


def _ages_ns(curves: Mapping[str, Curve], numbers: Ints) -> Ints:
    born = next((curves[tap] for tap in BORN if tap in curves), None)
    if born is None:
        return np.zeros(0, dtype=np.int64)
    known = numbers[numbers <= born.total]
    ages: Ints = times(curves["client.event"])[known - 1] - times(born)[known - 1]
    return ages


def _text_share(recording: Recording) -> float | None:
    curves = recording.curves("bytes")
    whole = max((curves[tap].total for tap in BORN if tap in curves), default=0)
    return int(utf8_sizes(recording.events.text).sum()) / whole if whole else None


def _upstream_held_ns(recording: Recording, curves: Mapping[str, Curve]) -> int | None:
    ended_ns, own_ns = recording.ended_ns, recording.counts.get("upstream.own_late_p95_ns", 0)
    due, sent = curves.get("upstream.due"), curves.get("upstream.sent")
    if due is None or sent is None or not due.total:
        return None
    next_due_ns = time_of(due, sent.total + 1)
    if next_due_ns is not None and ended_ns is not None and next_due_ns <= ended_ns:
        return ended_ns - next_due_ns
    last_due_ns, last_ns = (time_of(curve, sent.total) if sent.total else None for curve in (due, sent))
    return None if last_due_ns is None or last_ns is None else max(0, last_ns - last_due_ns - own_ns)


def _peak(recording: Recording, names: Iterable[str]) -> int | None:
    """The most that these gauges showed together, each keeping its value until its next sample."""
    known = [gauge for name in names if (gauge := recording.gauges.get(name)) is not None and gauge.known]
    if not known:
        return None
    times = np.unique(np.concatenate([np.array(gauge.at_ns, dtype=np.int64) for gauge in known]))
    return int(np.sum([_level(gauge, times) for gauge in known], axis=0).max())


def _level(gauge: Gauge, times: Ints) -> Ints:
    at_ns, value = np.array(gauge.at_ns, dtype=np.int64), np.array(gauge.value, dtype=np.int64)
    levels = np.concatenate((np.zeros(1, dtype=np.int64), np.where(value == NOT_KNOWN, 0, value)))
    level: Ints = levels[np.searchsorted(at_ns, times, side="right")]
    return level


def _most(*counts: int | None) -> int | None:
    return max((count for count in counts if count is not None), default=None)


# --- The sentence: each rule gives a clause, or nothing --------------------------------------------------------------


class _Speech(NamedTuple):
    """How to name whom; `brief` leaves out what the figure tells as well."""

    names: Mapping[Compared, str]
    brief: bool

    def of(self, several: Sequence[Compared]) -> str:
        names = [self.names[one] for one in several]
        return enumerated(names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"])


def _speeches(shown: Sequence[Compared]) -> list[_Speech]:
    """From the fullest to the briefest: `disconnect(2)` is called `disconnect` where there is no other one."""
    full = {one: one.name or "the stream" for one in shown}
    bare = [name.partition("(")[0].rstrip() or name for name in full.values()]
    spare = {one: word if bare.count(word) == 1 else name for (one, name), word in zip(full.items(), bare, strict=True)}
    choices = ((full, NAME_LIMIT, False), (spare, NAME_LIMIT, False), (spare, NAME_LIMIT, True), (spare, 10, True))
    return [_Speech({one: short(name, limit) for one, name in names.items()}, brief) for names, limit, brief in choices]


def _holders(shown: Sequence[Compared]) -> list[Compared]:
    longest = max((one.facts.held_ns or 0 for one in shown), default=0)
    return [one for one in shown if (one.facts.held_ns or 0) >= max(HELD_NS, HELD_SHARE * longest)]


def _holding(shown: Sequence[Compared], speech: _Speech) -> str | None:
    """Of the streams that came to their end: one that was cut is told by its cut."""
    measured = [one for one in shown if one.facts.held_ns is not None]
    holders = _holders(shown)
    whole = [one for one in holders if one.whole]
    if not measured or (holders and not whole):
        return None
    if not whole:
        return _nobody(measured, shown)
    longest = max(whole, key=_held_of)
    if len(whole) == 1:
        alone = len(holders) == 1 and len(measured) == len(shown) > 1
        return f"{'only ' if alone else ''}{speech.of(whole)} holds the upstream ({about(_held_of(longest))})"
    if len(whole) == 2:
        return f"{speech.of(whole)} hold the upstream ({enumerated([about(_held_of(one)) for one in whole])})"
    who = f"all {len(shown)}" if 2 < len(whole) == len(shown) else speech.of(whole)
    return f"{who} hold the upstream, {speech.of([longest])} longest ({about(_held_of(longest))})"


def _nobody(measured: Sequence[Compared], shown: Sequence[Compared]) -> str:
    if len(shown) == 1:
        return "the upstream is not held"
    return "no policy holds the upstream" if len(measured) == len(shown) else "no policy is known to hold the upstream"


def _keeping(shown: Sequence[Compared], speech: _Speech) -> str | None:
    """Who frees the upstream by keeping the rest; where nobody holds it, who keeps most."""
    holders = _holders(shown)
    freed = [one for one in shown if one.whole and one.facts.held_ns is not None and one not in holders]
    keepers = [one for one in freed if one.facts.lost == 0 and one.facts.peak_relay_bytes]
    if not keepers:
        return None
    most = max(keepers, key=_peak_of)
    if any(one.whole for one in holders):
        sizes = list(dict.fromkeys(byte_size(_peak_of(one)) for one in keepers))
        brief = len(sizes) > 2 or (speech.brief and len(sizes) > 1)
        price = f"up to {byte_size(_peak_of(most))}" if brief else enumerated(sizes)
        return f"{speech.of(keepers)} free{'s' if len(keepers) == 1 else ''} it for {price} of memory"
    if len(keepers) > 1 and _peak_of(most) > APART * min(map(_peak_of, keepers)):
        return f"{speech.of([most])} keeps most, {byte_size(_peak_of(most))}"
    return None


def _dropping(shown: Sequence[Compared], speech: _Speech) -> str | None:
    dropping = [one for one in shown if one.whole and one.facts.dropped]
    if not dropping:
        return None
    counts = [_of_total(one.facts.dropped or 0, one.facts.total) for one in dropping]
    noun = dropping[0].journey.subject.noun + "s"
    if len(dropping) > 2:
        most = max(dropping, key=lambda one: one.facts.dropped or 0)
        return f"{speech.of(dropping)} drop {noun}, {speech.of([most])} most ({most.facts.dropped or 0:,})"
    if len(dropping) == 2:
        return f"{speech.of(dropping)} drop {enumerated(counts)} {noun}"
    oldest_ns = _most(*(one.facts.age_max_ns for one in dropping[0].group))
    fresh = "" if oldest_ns is None or speech.brief else f" and is never more than {about(oldest_ns)} old"
    return f"{speech.of(dropping)} drops {counts[0]} {noun}{fresh}"


def _absorbed(shown: Sequence[Compared], speech: _Speech) -> str | None:  # noqa: ARG001  # nobody is named
    """Nothing comes of a policy as long as the kernel takes it all."""
    if _holders(shown) or any(one.facts.dropped for one in shown):
        return None
    waited = any((one.facts.age_max_ns or 0) >= HELD_NS for one in shown)
    most = max((one.facts.peak_kernel_bytes or 0 for one in shown), default=0)
    return f"the kernel alone takes up to {byte_size(most)}" if waited and most > max(map(_peak_of, shown)) else None


def _ending(shown: Sequence[Compared], speech: _Speech) -> str | None:
    """What did not complete; left to `describe_timeline` where nothing else is known of any stream."""
    ended = [one for one in shown if one.failed]
    if not ended or all(one.facts.total is None for one in shown):
        return None
    more = [f"{len(ended) - 2} more do not complete"] if len(ended) > 3 else []
    return enumerated([*(_end_of(one, speech) for one in (ended[:2] if more else ended)), *more])


def _end_of(one: Compared, speech: _Speech) -> str:
    outcome, name = one.facts.outcome, speech.of([one])
    if one.failed < len(one.group):
        return f"{one.failed:,} of {name} {'does' if one.failed == 1 else 'do'} not complete"
    if outcome.name == "refused":
        return f"{name} is refused{'' if outcome.detail is None else f' ({outcome.detail})'}"
    verb = "stopped" if outcome.stopped else "cut"
    after = "" if one.facts.finished_ns is None else f" after {about(one.facts.finished_ns)}"
    return f"{name} is {verb}{after}"


_CLAUSES: Final[tuple[Callable[[Sequence[Compared], _Speech], str | None], ...]] = (
    _holding,
    _keeping,
    _dropping,
    _absorbed,
    _ending,
)


def _held_of(one: Compared) -> int:
    return one.facts.held_ns or 0


def _peak_of(one: Compared) -> int:
    return one.facts.peak_relay_bytes or 0


def _of_total(count: int, total: int | None) -> str:
    return f"{count:,}" if total is None else f"{count:,} of {total:,}"
