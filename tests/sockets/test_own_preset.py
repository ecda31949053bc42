"""A provider of one's own, on real sockets: scripted, relayed, recorded and read back."""

from __future__ import annotations

import pytest

from streamkit.lab.client.record import record
from streamkit.lab.lab import Lab
from streamkit.lab.run import run
from streamkit.lab.upstream import Script, create_upstream
from streamkit.presets import Preset
from streamkit.serving.server import serve
from tests.presets.test_writing import LINES, MINE

pytestmark = pytest.mark.usefixtures("nothing_left")

PIECES = ["床前", "明月光，", '"quoted"', "\n"]


@pytest.mark.parametrize("mine", [MINE, LINES], ids=repr)
def test_a_provider_of_ones_own_is_scripted_streamed_parsed_and_read_back(mine: Preset) -> None:
    with serve(lambda: create_upstream(Script(PIECES, preset=mine, first_piece_ms=0, gap_ms=2))) as upstream:
        recording = run(record(upstream.url, data={"chat_history": "hi"}, preset=mine))
    assert recording.outcome.ok
    assert recording.text == "".join(PIECES)


def test_a_relay_between_them_reads_it_by_the_same_preset() -> None:
    with Lab(Script(PIECES, preset=MINE, first_piece_ms=0, gap_ms=2)) as lab:
        recording = run(lab.post("/ans", chat_history="hi"))
    assert recording.outcome.ok
    assert recording.text == "".join(PIECES)
    assert recording.curves("events")["upstream.sent"].total == len(PIECES)
