"""Random answers, read by the recorder: no broken one is complete, no whole one is broken, no text is lost or made up.

Behind an event that it cannot read, and behind the end, it goes on, as a recorder should: there it may have more text
than was to be known.

The truth is the script's own, from what its faults say of themselves; the bytes are parted into head and body by h11.
"""

from __future__ import annotations

import random

import pytest

from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.lab.recording.recording import Recording
from streamkit.lab.upstream.random_scripts import random_script
from streamkit.lab.upstream.script import Script
from streamkit.outcome import Outcome
from tests.scripted import parted

LIMIT = 1 << 20


def recorded(given: Script, seed: int) -> Recording | None:
    """What the recorder makes of the answer, in reads of random sizes; None where there was no head."""
    steps = given.steps()
    head, body, clean = parted(b"".join(step.framed for step in steps), closed=steps[-1].kind != "silence")
    if head is None:
        return None
    headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
    recorder = Recorder(preset=given.preset, max_events=1 << 20, max_event_bytes=LIMIT)
    recorder.start()
    recorder.head(head.status_code, headers)
    chance, number = random.Random(seed), 0
    while body and recorder.feed(number, number, body[: (size := chance.choice([1, 7, 64, 4096, 1 << 20]))]):
        number, body = number + 1, body[size:]
    return recorder.finish(None if clean else WireFailure(Outcome("truncated"), "the connection ended"))


@pytest.mark.parametrize("part", range(4))
def test_the_recorder_judges_a_random_answer_as_its_script_does(part: int) -> None:
    for seed in range(250 * part, 250 * part + 250):
        given = random_script(seed)
        if not given.faults:
            continue
        truth = given.truth(max_event_bytes=LIMIT)
        recording = recorded(given, seed)
        if recording is None:
            assert not truth.whole, given
            continue
        assert recording.outcome.ok is truth.whole, (seed, given, recording.outcome)
        if truth.whole:
            assert recording.text.startswith(truth.text), (seed, given)
        else:
            assert truth.text.startswith(recording.text) or recording.text.startswith(truth.text), (seed, given)
