"""What ends a stream: one exception, and what it says of itself."""

from __future__ import annotations

import pickle

import pytest

from streamkit.outcome import Outcome
from streamkit.relay.failure import Failed, Failure


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, "bad_head", "refused(400)"),
        (408, "timeout_head", "timeout(head)"),
        (408, "timeout_body", "timeout(body)"),
        (503, "busy", "refused(503)"),
    ],
)
def test_a_bad_request_is_refused_with_its_status_or_was_too_late(status: int, code: str, outcome: str) -> None:
    failure = Failure.of_request(status, code, "send it again")
    assert (str(failure.outcome), failure.code, failure.status) == (outcome, code, status)
    assert Failed.of_request(status, code, "send it again").failure == failure


def test_it_says_code_and_detail_and_survives_a_process_border() -> None:
    failed = Failed(Failure(Outcome("truncated"), "upstream_truncated", 502, "cut"))
    assert str(failed) == "upstream_truncated: cut"
    assert pickle.loads(pickle.dumps(failed)).failure == failed.failure  # noqa: S301  # our own
