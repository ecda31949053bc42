"""What came of an audit, as text, JSON and HTML."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from streamkit.errors import ConfigError
from streamkit.lab.audit import Certificate
from streamkit.lab.audit.page import END_COLOURS
from streamkit.lab.audit.scenarios import ASPECTS
from streamkit.lab.audit.witness import FINDINGS, AuditFact, AuditFinding, Judgement
from streamkit.lab.findings.endings import KINDS, Ending
from streamkit.lab.plots.palette import END_FILLS

GOOD = Judgement("nothing wrong", "text", Ending("complete", "complete"))
LIE = Judgement(
    "cut <b>here</b>",
    "endings",
    Ending("false_complete", "text missing"),
    (AuditFinding("false_success", "cut <b>here</b>", "2 of 9 characters"),),
)
FACT = Judgement("a steady pace", "pace", None, (), (AuditFact("pace", "a piece's way", "p50 1.0 ms"),))
UNKNOWN = Judgement("cut at every byte", "resuming", None, unjudged="not offered")
BAD = Certificate("proxy", (GOOD, LIE, FACT, UNKNOWN), {"asked": "POST /v1"}, "started\nfailed")
FINE = Certificate("other", (GOOD, FACT, UNKNOWN))


def test_a_grade_is_what_was_found_else_that_it_holds_else_that_nothing_was_tried() -> None:
    grades = {aspect: BAD.grade(aspect) for aspect in ASPECTS}
    assert grades == dict.fromkeys(ASPECTS, "not judged") | {"endings": "found", "text": "holds", "pace": "holds"}


def test_it_is_all_right_if_nothing_was_found_also_where_something_could_not_be_judged() -> None:
    assert (BAD.ok, FINE.ok) == (False, True)
    assert repr(FINE) == "<Certificate other: nothing found in 3 scenarios>"
    assert BAD.finding == "proxy: 1 kind of fault found in 4 scenarios: false_success"


def test_the_text_says_what_was_found_measured_and_not_judged() -> None:
    text = str(BAD)
    assert "FOUND  endings\n       ! a broken answer looks complete (false_success):\n" in text
    assert "ok     pace: each piece is passed on when it comes\n       a piece's way: p50 1.0 ms\n" in text
    assert "–      resuming: not judged\n       not judged, cut at every byte: not offered\n" in text
    assert "  cut <b>here</b>  LOOKS COMPLETE (text missing)" in text


def test_what_was_seen_alike_in_many_scenarios_is_one_line() -> None:
    found = [AuditFinding("tells_upstream", f"scenario {number}", "in the body") for number in range(9)]
    told = Certificate("proxy", [Judgement("all", "endings", found=tuple(found))]).told("endings")
    assert told[1:] == ["    9 scenarios, such as scenario 0: in the body"]


def test_json_holds_all_of_it_in_plain_values() -> None:
    told = json.loads(BAD.as_text(".json"))
    assert told == json.loads(json.dumps(BAD.as_dict()))
    assert told["findings"] == [
        {
            "code": "false_success",
            "scenario": "cut <b>here</b>",
            "seen": "2 of 9 characters",
            "says": FINDINGS["false_success"][1],
        }
    ]
    assert told["grades"]["endings"] == "found"


def test_the_page_needs_nothing_else_and_escapes_what_is_from_outside() -> None:
    page = BAD.html()
    assert page.startswith("<!doctype html>")
    assert "<b>here" not in page
    assert "cut &lt;b&gt;here&lt;/b&gt;" in page
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import", page)


def test_a_notebook_shows_a_part_of_that_page() -> None:
    assert "<html" not in BAD._repr_html_()
    assert "looks complete" in BAD._repr_html_()


def test_the_colours_are_those_of_the_figures() -> None:
    assert {kind: fill.colour for kind, fill in END_FILLS.items()} == END_COLOURS
    assert set(END_COLOURS) == set(KINDS)


def test_several_are_one_grid() -> None:
    grid = BAD.end_grid(FINE)
    assert (list(grid.rows), list(grid.columns)) == (["cut <b>here</b>"], ["proxy", "other"])
    assert grid.finding == "Broken answers that look complete: proxy: 1 of 1; other: none of 0"


@pytest.mark.parametrize("suffix", [".html", ".json", ".txt"])
def test_it_is_saved_as_its_name_says(tmp_path: Path, suffix: str) -> None:
    BAD.save(tmp_path / f"certificate{suffix}")
    assert (tmp_path / f"certificate{suffix}").read_text(encoding="utf-8") == BAD.as_text(suffix)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.html, \.json or \.txt, got '\.pdf'"):
        BAD.save(tmp_path / "certificate.pdf")
