"""The examples that ship: there is a file to each name, small, without secrets, and it is what its description says."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest

import streamkit as sk
from campaigns.examples import MAKERS, SWEPT, doubts, recordings_of, verdict_of
from streamkit.lab.examples.catalogue import DATA, MADE, Kind
from streamkit.lab.examples.shelf import One, Several
from streamkit.lab.recording.lines import read_lines

NAMES = sk.examples.names()
BYTES_OF_ALL = 600_000
SUFFIX = ".jsonl.gz"


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    return {name: sk.examples.load(name) for name in NAMES}


def file_of(name: str) -> str:
    return str(DATA / f"{name}{SUFFIX}")


def test_there_is_a_file_to_each_name_and_nothing_else() -> None:
    assert sorted(each.name for each in DATA.iterdir()) == sorted([*(f"{name}{SUFFIX}" for name in NAMES), MADE])


def test_all_of_them_together_are_small() -> None:
    assert sum(len(each.read_bytes()) for each in DATA.iterdir()) < BYTES_OF_ALL


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_its_description_says(name: str, loaded: dict[str, Any]) -> None:
    assert type(loaded[name]).__name__ == sk.examples.describe(name).kind
    assert all(each.damage == () for each in recordings_of(loaded[name]))


def test_it_is_read_anew_each_time() -> None:
    first, again = sk.examples.load("gzip-proxy"), sk.examples.load("gzip-proxy")
    assert first == again
    assert first is not again


@pytest.mark.parametrize("name", NAMES)
def test_no_file_says_on_which_machine_it_was_made(name: str) -> None:
    told = b"".join(read_lines(file_of(name))).decode("ascii")
    assert not re.search(r"127\.0\.0\.1|localhost|/tmp|/home|/root|\.sock|authorization|cookie|api.key", told, re.I)
    assert set(re.findall(r'"url":"([^"]*)"', told)) <= {"http://lab.example" + path for path in ANY_PATH}
    assert set(re.findall(r'"platform":"([^"]*)"', told)) <= {"Linux x86_64", "Linux aarch64", "Darwin arm64"}


ANY_PATH = ("/ans", "/upload", "/analysis", "/v1/chat/completions")


@pytest.mark.parametrize("name", NAMES)
def test_its_description_says_all_and_how_it_was_made(name: str) -> None:
    described = sk.examples.describe(name)
    assert set(described.figures) <= set(sk.plots.__all__)
    assert described.figures
    assert described.made["command"] == f"python -m campaigns.examples {name}"
    shown, html = repr(described), described._repr_html_()
    for words in (name, described.done, described.look, described.made["trust"], *described.figures):
        assert words in shown
    assert html.count("<tr>") == len(described.rows())
    assert f"sk.plots.{described.figures[0]}" in html


def test_each_is_made_by_the_script_and_the_script_makes_no_other() -> None:
    assert {*MAKERS, SWEPT} == set(NAMES)
    assert list(json.loads((DATA / MADE).read_text("utf-8"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_how_far_it_is_trusted_is_written_down(name: str, loaded: dict[str, Any]) -> None:
    """What is noted when it is made, of what was made, is what its file says."""
    assert sk.examples.describe(name).made["trust"] == f"trust: {verdict_of(loaded[name])}"


def test_that_pieces_come_together_is_what_some_situations_are_about_and_no_doubt() -> None:
    verdict = sk.examples.load("gzip-proxy").trust
    assert verdict.level == "limited"
    assert doubts(verdict) == []


def test_all_of_them_are_a_table() -> None:
    table = sk.examples.describe()
    assert [each.name for each in table] == NAMES
    assert len(table) == len(NAMES)
    assert len(repr(table).splitlines()) == len(NAMES)
    assert table._repr_html_().count("<tr>") == len(NAMES) + 1


def test_every_figure_has_an_example_but_the_way_which_is_of_none() -> None:
    drawn = {figure for each in sk.examples.describe() for figure in each.figures}
    assert set(sk.plots.__all__) - drawn <= {"way"}


@pytest.mark.parametrize("of", [sk.examples.load, sk.examples.describe, sk.examples.recordings])
def test_an_unknown_name_is_told_with_those_there_are_the_closest_first(of: Any) -> None:
    with pytest.raises(ValueError, match="expected the name of an example, got 'gzip': there are gzip-proxy, ") as told:
        of("gzip")
    assert all(name in str(told.value) for name in NAMES)


def test_a_name_like_none_is_told_with_those_there_are_the_simplest_first() -> None:
    with pytest.raises(ValueError, match=f"there are {', '.join(NAMES)}$"):
        sk.examples.load("??")


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(TypeError, match="expected the name of an example, such as 'healthy', got 3"):
        sk.examples.load(3)  # type: ignore[call-overload]  # what it says


def test_a_type_checker_knows_what_each_of_them_is() -> None:
    kinds: dict[str, Kind] = {each.name: each.kind for each in sk.examples.describe()}
    assert {name for name, kind in kinds.items() if kind == "Recording"} == set(get_args(One))
    assert {name for name, kind in kinds.items() if kind == "RecordingSet"} == set(get_args(Several))


def test_the_recordings_of_one_are_a_set_and_a_sweep_has_none() -> None:
    assert len(sk.examples.recordings("healthy")) == 1
    assert {each.label for each in sk.examples.recordings("comparison")} == {"current", "new"}
    with pytest.raises(ValueError, match="'sweep': it is a Sweep, which has none"):
        sk.examples.recordings("sweep")


class TestWhatTheyShow:
    """Each shows what its description says; else it has to be made again."""

    def test_the_text_comes_in_one_read_through_gzip_and_word_by_word_without(self, loaded: dict[str, Any]) -> None:
        proxied, direct = loaded["gzip-proxy"], loaded["gzip-direct"]
        assert proxied.text == direct.text
        assert proxied.headers["content-encoding"] == "gzip"
        assert len(proxied.reads) < 4 < 50 < len(direct.reads)
        assert proxied.summary().ttft_ms > 5 * direct.summary().ttft_ms

    def test_a_cut_looks_complete_through_the_naive_relay_alone(self, loaded: dict[str, Any]) -> None:
        whole, ours, naive = loaded["cut"]
        assert (whole.outcome.ok, ours.outcome.ok, naive.outcome.ok) == (True, False, True)
        assert whole.text.startswith(ours.text)
        assert len(naive.text) < len(whole.text)

    def test_the_upstream_waits_for_a_slow_client_only_where_little_is_held(self, loaded: dict[str, Any]) -> None:
        assert "blocked" in sk.findings.queues_finding(loaded["slow-client"])
        assert "never had to wait" in sk.findings.queues_finding(loaded["tcp-hides"])

    def test_the_stall_is_the_upstream_s(self, loaded: dict[str, Any]) -> None:
        assert loaded["stall"].diagnose().cause == "source_paused"
        assert loaded["healthy"].diagnose().cause != "source_paused"

    def test_one_was_cut_and_lost_nothing(self, loaded: dict[str, Any]) -> None:
        assert len(loaded["resumed"].cuts) >= 2
        assert loaded["resumed"].text == "word " * 100

    def test_one_relay_stops_its_upstream_and_the_other_does_not(self, loaded: dict[str, Any]) -> None:
        ours, pumped = map(sk.findings.after_leaving, loaded["left"])
        assert ours.pieces < 40 < 100 < pumped.pieces

    def test_an_upload_is_answered_before_it_has_ended(self, loaded: dict[str, Any]) -> None:
        each = loaded["upload"]
        assert each.events.at_ns[0] < each.sends.at_ns[-1]

    def test_the_policies_differ_in_what_they_cost(self, loaded: dict[str, Any]) -> None:
        assert [each.label.partition("(")[0] for each in loaded["policies"]] == [
            *("pause", "buffer", "coalesce"),
            *("latest", "disconnect"),
        ]
        assert [each.outcome.ok for each in loaded["policies"]] == [True, True, True, True, False]

    def test_the_load_has_two_kinds_of_prompts_and_its_process(self, loaded: dict[str, Any]) -> None:
        assert len(loaded["load"]) == 100
        assert loaded["load"].outcomes == {"complete": 100}
        assert set(loaded["load"].by("prompt")) == {"short", "a long story"}

    def test_the_comparison_s_difference_is_real(self, loaded: dict[str, Any]) -> None:
        assert loaded["comparison"].verdict == "slower"

    def test_every_setting_of_the_sweep_was_tried_in_every_round(self, loaded: dict[str, Any]) -> None:
        assert len(loaded["sweep"].rows) == loaded["sweep"].planned == 36
        assert not loaded["sweep"].failed

    def test_every_timer_of_ours_says_which_and_others_look_complete(self, loaded: dict[str, Any]) -> None:
        cells = loaded["timeout-map"].cells
        assert {cell.relay for cell in cells if cell.kind == "false_complete"} == {"Sanic + httpx"}
        assert {cell.kind for cell in cells if cell.relay == "ours"} <= {"complete", "named", "cut"}
