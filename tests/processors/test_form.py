"""Forms: parts found as they come, wherever they are cut; a file in a form is a file; what is no form is refused."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.processors.digest import Digest
from streamkit.processors.form import MAX_PARTS, Form, by_type
from streamkit.processors.lines import LineCounts
from streamkit.processors.processor import Processor, Unprocessable
from streamkit.processors.registry import PROCESSORS, processor_named
from streamkit.processors.table import Csv
from tests.processors.cuts import CUTS, processed

BOUNDARY = "4f3-x"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FILE = 'name="f"; filename="f.csv"'


def part(disposition: str, data: bytes, more: str = "") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n"
    return head.encode() + data + b"\r\n"


def form(*parts: bytes, end: str = "--\r\n") -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}{end}".encode()


def sent(
    data: bytes, process: str | Processor, content_type: str = TYPE, cuts: list[int] | None = None
) -> dict[str, Any]:
    worker = processor_named(process) if isinstance(process, str) else process
    return processed(by_type(content_type, worker), data, cuts or [])


CONTENTS = st.lists(
    st.sampled_from([b"a", b"\r\n", b"--", BOUNDARY.encode(), b"\r\n--", b"\r", b"\n--4f3", b"1,2\n"]), max_size=12
).map(b"".join)


@given(CONTENTS.filter(lambda data: b"\r\n--" + BOUNDARY.encode() not in b"\r\n" + data), CUTS)
def test_any_partition_of_a_form_has_the_same_parts(data: bytes, cuts: list[int]) -> None:
    body = form(part('name="x"', b"7"), part(FILE, data), part('name="ü"', b""))
    found = sent(body, "digest", cuts=cuts)
    assert [(each["name"], each["filename"], each["bytes"]) for each in found["parts"]] == [
        ("x", None, 1), ("f", "f.csv", len(data)), ("ü", None, 0),
    ]  # fmt: skip
    assert found["parts"][1]["sha256"] == sha256(data).hexdigest()
    assert found["sha256"] == sha256(b"7" + data).hexdigest()
    assert sent(body, "lines", cuts=cuts)["bytes"] == len(data)


@pytest.mark.parametrize("process", sorted(PROCESSORS))
def test_a_file_in_a_form_is_processed_as_the_file_itself(process: str) -> None:
    data = b"a,b\n1,2\n3\n"
    whole, in_form = sent(data, process, ""), sent(form(part(FILE, data)), process)
    for each in (whole, in_form):
        each.pop("per_s", None)
        each.pop("parts", None)
    assert whole == in_form


@pytest.mark.parametrize(
    "content_type", ["", "text/csv", "application/x-www-form-urlencoded", "multipart/mixed", "nonsense"]
)
def test_what_is_no_form_is_processed_as_it_is(content_type: str) -> None:
    assert sent(form(part(FILE, b"1")), "digest", content_type)["parts"] == []


def test_fields_and_files_that_were_not_chosen_are_no_files() -> None:
    body = form(part('name="token"', b"secret"), part('name="none"; filename=""', b""), part(FILE, b"a\n1\n"))
    assert sent(body, "csv")["columns"]["a"]["count"] == 1


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([part('name="a"', b"1")], "no_file"),
        ([], "no_file"),
        ([part(FILE, b"a"), part(FILE, b"b")], "several_files"),
        ([part(FILE, b"a", "Content-Type: text/csv; charset=latin1\r\n")], "unsupported_charset"),
        ([part("", b"a")], "bad_form"),
        ([part('name=""', b"a")], "bad_form"),
        ([part(f'name="{n}"', b"") for n in range(MAX_PARTS + 1)], "bad_form"),
        ([part('name="a"', b"", f"X-Long: {'x' * 5_000}\r\n")], "bad_form"),
        ([part('name="a"', b"", "no header\r\n")], "bad_form"),
        ([b"preamble\r\n", part(FILE, b"a")], "bad_form"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_form_without_its_one_file_is_refused_by_name(parts: list[bytes], code: str, size: int) -> None:
    body = form(*parts)
    with pytest.raises(Unprocessable) as refused:
        sent(body, "csv", cuts=[*range(0, len(body), size)])
    assert refused.value.code == code


@pytest.mark.parametrize("body", [b"", b"--", form(part(FILE, b"a"), end=""), part(FILE, b"a"), b"a,b\n1,2\n"])
def test_a_form_that_is_cut_is_no_form(body: bytes) -> None:
    with pytest.raises(Unprocessable, match="bad_form: the form cannot be read"):
        sent(body, "digest")


@pytest.mark.parametrize("boundary", ["", "b" * 2_000, '"a\\\nb"'])
def test_a_boundary_that_can_be_none_is_refused_before_anything_is_read(boundary: str) -> None:
    with pytest.raises(Unprocessable, match="bad_form"):
        by_type(f"multipart/form-data; boundary={boundary}", LineCounts())


def test_what_comes_behind_the_last_boundary_is_ignored_wherever_it_is_cut() -> None:
    body = form(part(FILE, b"a")) + b"epilogue"
    results = [sent(body, "digest", cuts=[cut]) for cut in range(len(body))]
    assert all(each == results[0] for each in results)


@pytest.mark.parametrize(
    ("charset", "taken"), [("utf-8", True), ("US-ASCII", True), ("latin1", False), ("utf-16", False)]
)
def test_text_is_utf8_where_it_is_read_as_text(charset: str, taken: bool) -> None:
    content_type = f"text/csv; charset={charset}"
    for process in ("digest", "lines"):
        assert sent(b"a\n", process, content_type)["bytes"] == 2
    if taken:
        assert sent(b"a\n", "csv", content_type)["rows"] == 0
    else:
        with pytest.raises(Unprocessable, match="unsupported_charset"):
            sent(b"a\n", "csv", content_type)


def test_parts_are_fed_as_they_come_and_never_held() -> None:
    digest = Digest()
    worker = Form(BOUNDARY, digest)
    worker.feed(part(FILE, b"")[:-2])
    for _ in range(100):
        worker.feed(b"x" * 50_000)
    assert digest.snapshot()["bytes"] == 5_000_000
    assert len(worker._parser._buffer) < 100


def test_the_charset_of_a_field_is_nobodys_business() -> None:
    field = part('name="a"', b"\xff", "Content-Type: text/plain; charset=latin1\r\n")
    assert sent(form(field, part(FILE, b"a\n1\n")), Csv())["rows"] == 1
