"""What is sampled of a stream's queues."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from streamkit.relay.delivery import queues


def test_the_memory_of_the_process_is_asked_once_for_all_that_are_sampled_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, asked = [10 * queues.FRESH_NS], [0]

    def resident_bytes() -> int:
        asked[0] += 1
        return asked[0]

    monkeypatch.setattr("streamkit.relay.delivery.queues.time", SimpleNamespace(monotonic_ns=lambda: now[0]))
    monkeypatch.setattr(queues, "resident_bytes", resident_bytes)
    memory = queues._Memory()
    assert [memory.bytes() for _ in range(50)] == [1] * 50
    now[0] += queues.FRESH_NS + 1
    assert memory.bytes() == 2
