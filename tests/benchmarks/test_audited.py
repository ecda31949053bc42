"""The gateways whose certificates are published: their pages are there, and are what the command writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.audited.__main__ import FOLDER, INDEX, main, write
from benchmarks.audited.gateways import AUDITED
from streamkit.lab.audit import Certificate
from streamkit.lab.audit.scenarios import ASPECTS
from streamkit.lab.audit.witness import FINDINGS, AuditFact, AuditFinding, Judgement

PAGES = Path(__file__).parents[2] / FOLDER
LIE = Judgement("cut", "endings", None, (AuditFinding("false_success", "cut", "2 of 9 characters"),))
WAY = Judgement("a steady pace", "pace", None, (), (AuditFact("pace", "a piece's way", "p50 1.0 ms"),))


@pytest.mark.parametrize("name", AUDITED)
def test_each_has_a_page_with_its_command_its_remarks_and_a_whole_certificate(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {AUDITED[name].title}\n")
    assert AUDITED[name].setup[-1] in page
    for remark in AUDITED[name].remarks:
        assert f"- {remark}\n" in page
    assert all(f" {aspect}" in page for aspect in ASPECTS)


def test_the_index_has_a_row_for_each_and_says_what_was_found() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    rows = json.loads((PAGES / INDEX).read_text(encoding="utf-8"))
    assert set(rows) == set(AUDITED)
    for name, row in rows.items():
        assert f"| {' | '.join(row)} |\n" in index
        found = {code.strip("`") for code in row[3].split(", ")}
        assert found <= {*FINDINGS, "nothing"}, name


def test_a_page_is_written_beside_the_others_and_the_index_keeps_their_rows(tmp_path: Path) -> None:
    about = {"when": "2026-11-29T13:00+00:00"}
    write(tmp_path, AUDITED["streamkit"], Certificate("streamkit", (WAY,), about))
    write(tmp_path, AUDITED["article"], Certificate("article", (LIE,), about))
    rows = json.loads((tmp_path / INDEX).read_text(encoding="utf-8"))
    assert [rows[name][2:] for name in ("streamkit", "article")] == [
        ["0 of 0", "nothing", "p50 1.0 ms"],
        ["1 of 1", "`false_success`", "–"],
    ]
    assert "Not judged: text, pace, leaving" in (tmp_path / "article.md").read_text(encoding="utf-8")


def test_a_name_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["caddy"])
    assert "expected names out of streamkit, streamkit-resume, litellm" in capsys.readouterr().err


def test_which_there_are_can_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(AUDITED)
