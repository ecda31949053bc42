"""What an upload shows: its facts, and in one sentence which side was slow. The title of upload.

What is sent waits for one of four: for whoever makes the bytes (the iterator, the file); for the network; for the
server, which does not read; or for the client itself, which does not read what the server answers, so that this cannot
go on. The kernel tells when it had no room (`Send.held_ns`), and for how long the other end of the connection had none
(`meta["window_full_ns"]`, on Linux, over TCP). A proxy on the way is such an end, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from streamkit.lab.findings.subjects import Recordings, named, recordings_in
from streamkit.lab.findings.words import byte_size, duration, many, short
from streamkit.lab.metrics.curves import backlog, curve
from streamkit.taps.gauges import NOT_KNOWN

if TYPE_CHECKING:
    from streamkit.lab.metrics.curves import Curve
    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.recording.trust import Trust
    from streamkit.outcome import Outcome

__all__ = ["SlowSide", "UploadFacts", "describe_upload", "slow_side", "upload_finding", "uploads"]

SlowSide: TypeAlias = Literal["nobody", "the iterator", "the network", "the server", "the way", "the client"]
"""Whom an upload waited for; "the way" where the network and the server cannot be told apart."""

QUICK_NS: Final = 50_000_000  # an upload that took no longer waited for nobody worth a word
HELD_SHARE: Final = 0.5  # it was held back where the kernel had no room for so much of its time …
WINDOW_SHARE: Final = 0.5  # … by the server where its window was full for so much of that …
UNREAD_SHARE: Final = 0.5  # … because of the client where at so many looks it had not read …
UNREAD_BYTES: Final = 4_096  # … so much of what had come: a result or two are on their way to it, and no more
OUTCOME_SIGNS: Final = 32
READY: Final = "the body could be sent"
LEAVES: Final = "the body began to leave"
MADE: Final = "the request was made"
NOTHING_KNOWN: Final = "Nothing is known of an upload: its body was sent by another client, or there was none"


@dataclass(frozen=True, kw_only=True, eq=False)
class UploadFacts:
    """One upload as its figure sees it; times in ns from `origin_ns` on, sizes in bytes. None: not known.

    origin_ns    when it could be sent: its connection stood; where another client sent it, when the request was made
    since        the same in words
    curves       `Recording.upload()`: what had been sent, and what the server had read, by when
    results      what had come back: the counted events of the answer
    whole        all of it had left
    took_ns      from `origin_ns` until the last of it had left
    held_ns      for how much of that the kernel had no room
    window_ns    for how much of that the other end of the connection had none
    unread_share at how many of the looks meanwhile the client had not read what had come of the answer
    most         the most that had been sent and that the server had not read, and `most_at_ns` when that was
    """

    name: str
    outcome: Outcome
    trust: Trust
    origin_ns: int
    since: str
    end_ns: int
    curves: Mapping[str, Curve]
    results: Curve
    whole: bool
    took_ns: int
    held_ns: int
    window_ns: int | None
    unread_share: float | None
    most: int | None
    most_at_ns: int

    @property
    def sent(self) -> int:
        """How much had left."""
        return self.curves["client.sent"].total if "client.sent" in self.curves else 0

    @property
    def read(self) -> int | None:
        """How much the server had read."""
        return self.curves["server.read"].total if "server.read" in self.curves else None


def uploads(recordings: Recordings) -> list[UploadFacts]:
    """The facts of each. Raises TypeError for what is not a recording, ValueError for none at all."""
    return [_facts(name, recording) for name, recording in named(recordings_in(recordings))]


def upload_finding(recording: Recording) -> str:
    """Which side of an upload was slow, as a sentence; it is the title of `sk.plots.upload`.

    >>> from streamkit.lab.recording.sends import Sends
    >>> recording = sk.Recording(sends=Sends([0, 9_000_000], size=[500_000, 700_000]), sent_ns=9_000_000)
    >>> sk.findings.upload_finding(recording)
    '1.2 MB sent in 9.0 ms: nothing held it back'
    """
    return describe_upload(uploads(recording)[0])


def describe_upload(facts: UploadFacts) -> str:
    """`upload_finding` of what are already facts."""
    if not facts.sent:
        return _read_only(facts) if facts.read else NOTHING_KNOWN
    if not facts.whole:
        ended = "complete" if facts.outcome.ok else short(str(facts.outcome), OUTCOME_SIGNS)
        return f"Sending stopped after {byte_size(facts.sent)}, before all had left: {ended}{_unread(facts)}"
    what = f"{byte_size(facts.sent)} sent in {duration(facts.took_ns)}"
    return f"{what}: {_WHY[slow_side(facts)](facts)}"


def slow_side(facts: UploadFacts) -> SlowSide:
    """Whom the upload waited for most."""
    if facts.took_ns < QUICK_NS:
        return "nobody"
    if facts.held_ns < HELD_SHARE * facts.took_ns:
        return "the iterator"
    if facts.unread_share is not None and facts.unread_share >= UNREAD_SHARE:
        return "the client"
    if facts.window_ns is None:
        return "the way"
    return "the server" if facts.window_ns >= WINDOW_SHARE * facts.held_ns else "the network"


def _read_only(facts: UploadFacts) -> str:
    """Of a body that another client sent: when it had left is not known, but when something came back is."""
    read, results = facts.curves["server.read"], facts.results
    what = f"{byte_size(read.total)} read by the server in {duration(int(read.at_ns[-1]))}"
    if not results.total:
        return f"{what}; nothing came back"
    first = "the first of " if results.total > 1 else ""
    return f"{what}; {first}{many(results.total, 'event')} came back after {duration(int(results.at_ns[0]))}"


def _unread(facts: UploadFacts) -> str:
    return "" if not facts.most else f"; at most {byte_size(facts.most)} were sent and not read"


_WHY: Final[Mapping[SlowSide, Callable[[UploadFacts], str]]] = {
    "nobody": lambda _: "nothing held it back",
    "the iterator": lambda facts: (
        f"what makes the bytes is slow (for {duration(facts.took_ns - facts.held_ns)} there was room for more)"
    ),
    "the client": lambda facts: (
        "the client does not read what comes back, and the server none of what is sent "
        f"(for {duration(facts.held_ns)}){_unread(facts)}"
    ),
    "the server": lambda facts: (
        "the server, or a proxy before it, reads slowly "
        f"(for {duration(facts.window_ns or 0)} it had no room for more){_unread(facts)}"
    ),
    "the network": lambda facts: (
        f"the network is slow (for {duration(facts.held_ns)} it took no more, but the server had room){_unread(facts)}"
    ),
    "the way": lambda facts: (
        f"the server, or the way to it, is slow (for {duration(facts.held_ns)} there was no room){_unread(facts)}"
    ),
}


def _facts(name: str, recording: Recording) -> UploadFacts:
    sends = recording.sends
    known = recording.upload()
    origin_ns, since = _zero(recording)
    curves = {tap: one._replace(at_ns=one.at_ns - origin_ns) for tap, one in known.items()}
    results = curve(recording.counted.at_ns - origin_ns) if recording.events else curve([])
    held = backlog(curves["client.sent"], curves["server.read"]) if len(curves) > 1 else None
    steps = [int(one.at_ns[-1]) for one in (*curves.values(), results) if one.at_ns.size]
    ended_ns = 0 if recording.ended_ns is None else recording.ended_ns - origin_ns
    took_ns = max(0, sends.at_ns[-1] - origin_ns) if sends else 0
    window_ns = recording.meta.get("window_full_ns", None if any(sends.held_ns) else 0)
    return UploadFacts(
        name=name,
        outcome=recording.outcome,
        trust=recording.trust,
        origin_ns=origin_ns,
        since=since,
        end_ns=max([ended_ns, *steps]),
        curves=curves,
        results=results,
        whole=recording.sent_ns is not None,
        took_ns=took_ns,
        held_ns=min(sum(sends.held_ns), took_ns),
        window_ns=None if window_ns is None else min(int(window_ns), took_ns),
        unread_share=_unread_share(recording),
        most=None if held is None else max(0, int(held.held.max(initial=0))),
        most_at_ns=int(held.at_ns[np.argmax(held.held)]) if held is not None and held.held.size else 0,
    )


def _zero(recording: Recording) -> tuple[int, str]:
    """From when on the sentence and the figure count, and how it is called: all waiting for the body is in it."""
    if not recording.sends:
        return 0, MADE
    ready = (recording.tls_ns, recording.connected_ns, recording.acquired_ns)
    ready_ns = next((at_ns for at_ns in ready if at_ns is not None), None)
    return (recording.sends.at_ns[0], LEAVES) if ready_ns is None else (ready_ns, READY)


def _unread_share(recording: Recording) -> float | None:
    """Of the looks at the client's queues while it sent, the share that found much of the answer unread."""
    found = [recording.gauges[name] for name in ("client.unread", "client.backlog") if name in recording.gauges]
    if not found or not recording.sends:
        return None
    at_ns = np.asarray(found[0].at_ns)
    while_sent = (at_ns >= recording.sends.at_ns[0]) & (at_ns <= recording.sends.at_ns[-1])
    lying = np.sum([np.where(values == NOT_KNOWN, 0, values) for values in (np.asarray(one.value) for one in found)], 0)
    return float(np.mean(lying[while_sent] >= UNREAD_BYTES)) if while_sent.any() else None
