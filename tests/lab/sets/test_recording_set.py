"""RecordingSet: many recordings as one."""

from __future__ import annotations

from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet


class TestItIsASequenceOfRecordings:
    def test_in_the_order_in_which_they_were_due(self) -> None:
        late = Recording(started_ns=900, due_ns=-800, label="due first")
        early = Recording(started_ns=500, due_ns=-100, label="due second")
        assert [one.label for one in RecordingSet([early, late])] == ["due first", "due second"]

    def test_a_slice_is_a_set_with_the_same_load(self) -> None:
        some = RecordingSet([Recording(), Recording(started_ns=1)], meta={"seed": 7})[1:]
        assert (len(some), some.meta) == (1, {"seed": 7})
