"""Rows as tables."""

from __future__ import annotations

from streamkit.lab.recording.tables import html_table, text_table

ROWS = [("events", "12"), ("a longer name", "3.4 ms")]


def test_names_stand_to_the_left_and_values_to_the_right() -> None:
    assert text_table(ROWS, ["said so"]).splitlines() == [
        "events             12",
        "a longer name  3.4 ms",
        "* said so",
    ]


def test_a_sentence_pushes_no_number_away() -> None:
    lines = text_table([*ROWS, ("why", "because of this and of that")], widest=16).splitlines()
    assert lines[0] == "events             12"
    assert lines[2] == "why            because of this and of that"


def test_in_html_everything_is_escaped() -> None:
    shown = html_table([("<b>", "<i>")], ["<u>"], caption="<s>")
    assert shown == (
        "<table><caption>&lt;s&gt;</caption><tbody><tr><th>&lt;b&gt;</th><td>&lt;i&gt;</td></tr></tbody></table>"
        "<ul><li>&lt;u&gt;</li></ul>"
    )


def test_what_is_not_there_leaves_no_element() -> None:
    assert html_table(ROWS).count("<") == 2 * (2 + 2 * 3)
