"""Recordings as files, of every version, damaged ones too."""

from __future__ import annotations

import gzip
import json
import random
import warnings
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.errors import RecordingFormatError
from streamkit.lab.recording.recorded import ALL_GAUGES, Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.sends import Sends
from streamkit.outcome import Outcome
from streamkit.taps import Tap
from streamkit.taps.gauges import NOT_KNOWN, Gauge
from tests.lab.recording.examples import MS, small
from tests.lab.recording.test_relay_word import words


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my recording.jsonl"
    small().save(path)
    return path


def load_damaged(path: Path) -> Recording:
    with pytest.warns(UserWarning, match="is damaged"):
        return Recording.load(path)


def sealed(record: dict[str, Any]) -> bytes:
    """A line with a right checksum, whatever it says."""
    body = json.dumps(record, separators=(",", ":")).encode()[:-1]
    return b'%s,"crc32":"%08x"}' % (body, zlib.crc32(body))


def change(path: Path, line: int, **fields: Any) -> None:
    """Change fields of one line (from 0) and seal it again; a field set to `...` is removed."""
    lines = path.read_bytes().split(b"\n")
    record = {**json.loads(lines[line]), **fields}
    del record["crc32"]
    lines[line] = sealed({name: value for name, value in record.items() if value is not ...})
    path.write_bytes(b"\n".join(lines))


texts = st.text(max_size=12)


times = st.integers(0, 2**40)


taps = st.lists(st.tuples(times, times, times), max_size=4).map(
    lambda steps: Tap(*(sorted(column) for column in zip(*steps, strict=True))) if steps else Tap()
)


gauges = st.lists(st.tuples(times, st.integers(NOT_KNOWN, 2**40)), max_size=4).map(
    lambda samples: Gauge([at_ns for at_ns, _ in sorted(samples)], [value for _, value in samples])
)


sends = st.lists(st.tuples(times, times, times), max_size=4).map(
    lambda rows: Sends(*zip(*sorted(rows), strict=True)) if rows else Sends()
)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    at_ns = sorted(draw(st.lists(times, max_size=6)))
    data = [draw(st.none() | st.binary(max_size=20)) for _ in at_ns]
    sizes = [len(kept) if kept is not None else 7 for kept in data]
    errors, late = [draw(st.integers(-1, 2**40)) for _ in at_ns], [draw(times) for _ in at_ns]
    reads = Reads(at_ns, sizes, data, errors, late)
    read = sorted(draw(st.lists(st.integers(0, len(at_ns) - 1), max_size=8))) if at_ns else []
    columns: dict[str, Any] = {
        name: [draw(texts) for _ in read] for name in ("text", "event", "data", "id", "reasoning")
    }
    events = Events([at_ns[i] for i in read], read=read, handed_ns=[draw(times) for _ in read], **columns)
    return Recording(
        reads=reads,
        events=events,
        outcome=draw(st.sampled_from([Outcome("complete"), Outcome("refused", 503), Outcome("error_event", "503)")])),
        error=draw(st.none() | texts),
        finish_reason=draw(st.none() | texts),
        status=draw(st.none() | st.integers(100, 599)),
        headers=draw(st.dictionaries(texts, texts, max_size=3)),
        content_type=draw(st.none() | texts),
        preset=draw(st.none() | texts),
        url=draw(texts),
        label=draw(texts),
        started_ns=draw(st.integers(0, 2**62)),
        acquired_ns=draw(st.none() | times),
        connected_ns=draw(st.none() | times),
        tls_ns=draw(st.none() | times),
        sent_ns=draw(st.none() | times),
        head_ns=draw(st.none() | times),
        ended_ns=draw(st.none() | times),
        stamps=draw(st.sampled_from(["kernel", "socket", "library"])),
        taps=draw(st.dictionaries(st.sampled_from(["upstream.due", "relay.sent", "server.read"]), taps)),
        marks=draw(st.dictionaries(texts, times, max_size=3)),
        counts=draw(st.dictionaries(texts, times, max_size=3)),
        gauges=draw(st.dictionaries(st.sampled_from(ALL_GAUGES), gauges, max_size=3)),
        relay=draw(st.none() | words),
        sends=draw(sends),
        meta=draw(st.dictionaries(texts.filter(lambda key: key != "notes"), st.none() | texts | times, max_size=3)),
    )


class TestFiles:
    @given(recordings())
    def test_load_gives_back_what_was_saved(
        self, tmp_path_factory: pytest.TempPathFactory, recording: Recording
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "identity.jsonl"
        recording.save(path)
        loaded = Recording.load(path)
        assert loaded == recording
        assert loaded.damage == ()

    def test_each_line_is_json_with_one_read_and_its_events(self, file: Path) -> None:
        header, *reads, footer = map(json.loads, file.read_text("utf-8").splitlines())
        assert (header["streamkit"], header["version"]) == ("recording", 4)
        assert [len(read["events"]) for read in reads] == [1, 2, 1]
        assert (footer["reads"], footer["events"], footer["outcome"]) == (3, 4, ["complete", None])

    def test_a_lone_surrogate_survives(self, tmp_path: Path) -> None:
        recording = Recording.from_pieces([(1, "\ud800x")])
        recording.save(tmp_path / "r")
        assert Recording.load(tmp_path / "r") == recording

    def test_a_string_is_taken_as_a_path(self, file: Path) -> None:
        assert Recording.load(str(file)) == small()

    def test_a_failed_save_leaves_the_old_file_and_nothing_else(self, file: Path) -> None:
        broken = Recording(meta={"clock": object()})
        with pytest.raises(TypeError):
            broken.save(file)
        assert Recording.load(file) == small()
        assert list(file.parent.iterdir()) == [file]

    def test_saving_again_takes_the_place_of_the_old_file(self, file: Path) -> None:
        Recording(label="new").save(file)
        assert Recording.load(file) == Recording(label="new")
        assert list(file.parent.iterdir()) == [file]

    def test_a_file_of_version_1_has_the_defaults_of_what_it_did_not_know(self, file: Path) -> None:
        change(file, 0, version=1, acquired_ns=..., tls_ns=..., marks=..., counts=..., relay=...)
        for line in (1, 2, 3):
            change(file, line, error_ns=..., late_ns=...)
        change(file, 4, taps=..., gauges=..., finish_reason=...)
        assert b"error_ns" not in file.read_bytes()
        assert Recording.load(file) == small()

    def test_a_file_of_version_2_has_neither_counts_nor_gauges(self, file: Path) -> None:
        change(file, 0, version=2, counts=..., relay=...)
        change(file, 4, gauges=...)
        assert Recording.load(file) == small()

    def test_a_file_of_version_3_has_no_word_of_the_relays_and_another_name_for_a_librarys_stamps(
        self, file: Path
    ) -> None:
        change(file, 0, version=3, relay=..., stamps="piece")
        assert Recording.load(file) == replace(small(), stamps="library")

    def test_a_file_of_version_4_from_before_uploads_has_none(self, file: Path) -> None:
        assert "sends" not in json.loads(file.read_text("utf-8").splitlines()[0])
        assert Recording.load(file).sends == Sends()

    def test_the_first_files_of_version_4_do_not_know_why_the_provider_ended(self, file: Path) -> None:
        change(file, 4, finish_reason=...)
        assert Recording.load(file) == small()

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            b"hello\n",
            b"\x89PNG\r\n\x1a\n\x00",
            b'{"a": 1}\n{"b": 2}\n',
            b"[" * 100_000,
            b"\xff" * 99,
            b"9" * 9999,
        ],
    )
    def test_a_file_that_is_no_recording_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "other.txt").write_bytes(content)
        with pytest.raises(RecordingFormatError, match=r"expected a recording in other\.txt"):
            Recording.load(tmp_path / "other.txt")

    def test_a_missing_file_is_the_usual_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            Recording.load(tmp_path / "none.jsonl")

    def test_a_newer_format_says_what_to_do(self, file: Path) -> None:
        change(file, 0, version=6)
        with pytest.raises(RecordingFormatError, match=r"format 6, .* update streamkit"):
            Recording.load(file)


class TestDamagedFiles:
    def test_the_whole_lines_are_kept_and_the_bad_one_is_named(self, file: Path) -> None:
        lines = file.read_bytes().split(b"\n")
        lines[2] = lines[2][:50]
        file.write_bytes(b"\n".join(lines))
        recording = load_damaged(file)
        assert recording.text == "a你"
        assert recording.reads.at_ns.tolist() == [120 * MS, 600 * MS]
        assert recording.events.read.tolist() == [0, 1]
        assert recording.damage == (
            "line 3: is cut off or holds no checksum",
            "before line 4: read 1 is missing",
            "2 of 3 reads and 2 of 4 events were kept",
        )

    def test_a_warning_says_what_was_lost_and_where_it_was_called(self, file: Path) -> None:
        file.write_bytes(file.read_bytes() + b"more\n")
        with pytest.warns(UserWarning, match=r"my recording.jsonl is damaged \(1 fault\): line 6") as warned:
            Recording.load(file)
        assert warned[0].filename == __file__

    def test_the_summary_of_a_damaged_recording_says_so(self, file: Path) -> None:
        file.write_bytes(file.read_bytes() + b"more\n")
        assert "damaged file" in str(load_damaged(file).summary())

    def test_one_flipped_bit_inside_a_text_does_not_load_as_another_text(self, file: Path) -> None:
        file.write_bytes(file.read_bytes().replace(b'"text":"a"', b'"text":"c"'))
        recording = load_damaged(file)
        assert recording.text == "bc你"
        assert recording.damage[0] == "line 2: does not match its checksum"

    def test_a_file_cut_while_it_was_written_has_no_proven_end(self, file: Path) -> None:
        whole = file.read_bytes().split(b"\n")
        file.write_bytes(b"\n".join(whole[:3]) + b"\n")
        recording = load_damaged(file)
        assert recording.text == "abc"
        assert recording.outcome == Outcome("truncated")
        assert recording.ended_ns is None
        assert "no footer" in recording.damage[0]

    def test_a_last_line_without_its_end_is_named(self, file: Path) -> None:
        file.write_bytes(file.read_bytes()[:-1])
        recording = load_damaged(file)
        assert recording == small()
        assert recording.damage == ("line 5: no line end; the file was cut here",)

    def test_without_a_header_the_reads_are_kept(self, file: Path) -> None:
        file.write_bytes(b"\xff" + file.read_bytes())
        recording = load_damaged(file)
        assert recording.text == "abc你"
        assert recording.url == ""
        assert recording.damage[-1].startswith("no header")

    def test_a_line_that_went_missing_is_noticed(self, file: Path) -> None:
        lines = file.read_bytes().split(b"\n")
        del lines[3]
        file.write_bytes(b"\n".join(lines))
        assert load_damaged(file).damage[0] == "before the footer: read 2 is missing"

    def test_a_repeated_line_is_left_out(self, file: Path) -> None:
        lines = file.read_bytes().split(b"\n")
        file.write_bytes(b"\n".join([*lines[:2], lines[1], *lines[2:]]))
        recording = load_damaged(file)
        assert recording == small()
        assert recording.damage == ("line 3: read 0 comes after a later one",)

    def test_two_recordings_in_one_file_are_not_mixed(self, file: Path) -> None:
        file.write_bytes(file.read_bytes() * 2)
        recording = load_damaged(file)
        assert recording == small()
        assert len(recording.damage) == 5

    def test_a_tap_that_went_missing_is_noticed_and_the_others_are_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "r"
        kept = {"upstream.sent": Tap([1, 2], [1, 3], [4, 9])}
        Recording(taps={"relay.read": Tap([3], [1], [4]), **kept}).save(path)
        lines = path.read_bytes().split(b"\n")
        assert b"relay.read" in lines.pop(1)
        path.write_bytes(b"\n".join(lines))
        recording = load_damaged(path)
        assert recording.taps == kept
        assert recording.damage == ("1 of 2 taps were kept",)

    @pytest.mark.parametrize(
        ("fields", "complaint"),
        [
            ({"tap": "client.read"}, "line 2: has a 'tap' of the wrong kind (str)"),
            ({"tap": ["relay.read"]}, "line 2: has a 'tap' of the wrong kind (list)"),
            ({"at_ns": [2, 1]}, "line 2: holds columns that make no staircase for the tap relay.read"),
            ({"bytes": [1]}, "line 2: holds columns that make no staircase for the tap relay.read"),
            ({"events": [1, True]}, "line 2: has a 'events' of the wrong kind (list)"),
            ({"events": ...}, "line 2: has no 'events'"),
        ],
    )
    def test_a_tap_of_the_wrong_kind_is_left_out_and_named(
        self, tmp_path: Path, fields: dict[str, Any], complaint: str
    ) -> None:
        path = tmp_path / "r"
        Recording(taps={"relay.read": Tap([3, 4], [1, 2], [4, 5])}).save(path)
        change(path, 1, **fields)
        recording = load_damaged(path)
        assert recording.taps == {}
        assert recording.damage == (complaint, "0 of 1 taps were kept")

    @pytest.mark.parametrize(
        ("fields", "complaint"),
        [
            ({"gauge": "relay.cellar"}, "line 2: has a 'gauge' of the wrong kind (str)"),
            ({"gauge": ["relay.unsent"]}, "line 2: has a 'gauge' of the wrong kind (list)"),
            ({"at_ns": [4, 3]}, "line 2: holds columns that do not fit together for the gauge relay.unsent"),
            ({"value": [1]}, "line 2: holds columns that do not fit together for the gauge relay.unsent"),
            ({"value": [1, None]}, "line 2: has a 'value' of the wrong kind (list)"),
            ({"value": ...}, "line 2: has no 'value'"),
        ],
    )
    def test_a_gauge_of_the_wrong_kind_is_left_out_and_named(
        self, tmp_path: Path, fields: dict[str, Any], complaint: str
    ) -> None:
        path = tmp_path / "r"
        Recording(gauges={"relay.unsent": Gauge([3, 4], [4, 5])}).save(path)
        change(path, 1, **fields)
        recording = load_damaged(path)
        assert recording.gauges == {}
        assert recording.damage == (complaint, "0 of 1 gauges were kept")

    def test_a_repeated_gauge_is_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "r"
        whole = Recording(gauges={"relay.unsent": Gauge([3], [4])})
        whole.save(path)
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join([lines[0], lines[1], *lines[1:]]))
        recording = load_damaged(path)
        assert recording == whole
        assert recording.damage == ("line 3: holds the gauge relay.unsent a second time",)

    def test_a_repeated_tap_is_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "r"
        whole = Recording(taps={"relay.read": Tap([3], [1], [4])})
        whole.save(path)
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join([lines[0], lines[1], *lines[1:]]))
        recording = load_damaged(path)
        assert recording == whole
        assert recording.damage == ("line 3: holds the tap relay.read a second time",)

    @pytest.mark.parametrize(
        ("line", "fields", "complaint"),
        [
            (0, {"status": "200"}, "line 1: has a 'status' of the wrong kind (str)"),
            (0, {"counts": {"relay.held_ns": None}}, "line 1: has a 'counts' of the wrong kind (dict)"),
            (0, {"counts": ...}, "line 1: has no 'counts'"),
            (0, {"sends": []}, "line 1: has a 'sends' of the wrong kind (list)"),
            (0, {"sends": {"at_ns": [1]}}, "line 1: has no 'size'"),
            (
                0,
                {"sends": {"at_ns": [2, 1], "size": [1, 1], "held_ns": [0, 0]}},
                "line 1: holds columns that are no writes of a request's body",
            ),
            (
                0,
                {"sends": {"at_ns": [2], "size": [-1], "held_ns": [0]}},
                "line 1: holds columns that are no writes of a request's body",
            ),
            (0, {"marks": {"relay.asked": "1"}}, "line 1: has a 'marks' of the wrong kind (dict)"),
            (0, {"relay": {"outcome": "lost"}}, "line 1: has a 'relay' of the wrong kind (dict)"),
            (0, {"relay": ...}, "line 1: has no 'relay'"),
            (0, {"stamps": "piece"}, "line 1: has a 'stamps' of the wrong kind (str)"),
            (0, {"tls_ns": 1.5}, "line 1: has a 'tls_ns' of the wrong kind (float)"),
            (0, {"acquired_ns": ...}, "line 1: has no 'acquired_ns'"),
            (0, {"version": True}, "line 1: is not the header of a recording in format 1 to 5"),
            (1, {"error_ns": -2}, "line 2: read 0 has an error of -2 ns"),
            (1, {"late_ns": None}, "line 2: has a 'late_ns' of the wrong kind (NoneType)"),
            (0, {"meta": []}, "line 1: has a 'meta' of the wrong kind (list)"),
            (0, {"meta": {"notes": "one"}}, "line 1: has a 'meta' of the wrong kind (dict)"),
            (0, {"headers": {"a": 1}}, "line 1: has a 'headers' of the wrong kind (dict)"),
            (0, {"stamps": "guessed"}, "line 1: has a 'stamps' of the wrong kind (str)"),
            (0, {"started_ns": 2**63}, "line 1: has a 'started_ns' of the wrong kind (int)"),
            (0, {"url": ...}, "line 1: has no 'url'"),
            (0, {"streamkit": "taps"}, "line 1: is not the header of a recording in format 1 to 5"),
            (1, {"n": True}, "line 2: has a 'n' of the wrong kind (bool)"),
            (1, {"at_ns": 1.5}, "line 2: has a 'at_ns' of the wrong kind (float)"),
            (1, {"data": "?"}, "line 2: holds bytes that are not base64"),
            (1, {"data": "你"}, "line 2: holds bytes that are not base64"),
            (1, {"size": 3}, "line 2: read 0 has 3 bytes by its size, but not by its data"),
            (1, {"size": -1, "data": None}, "line 2: read 0 has -1 bytes by its size, but not by its data"),
            (1, {"events": None}, "line 2: has a 'events' of the wrong kind (NoneType)"),
            (1, {"events": [[]]}, "line 2: holds an event that is not a JSON object"),
            (1, {"events": [{}]}, "line 2: has no 'handed_ns'"),
            (2, {"at_ns": 1}, "line 3: read 1 is earlier than the one before it"),
            (2, {"n": ...}, "line 3: is neither a header, a read, a tap, a gauge nor a footer"),
            (2, {"streamkit": "recording"}, "line 3: is the header of a recording, in the middle of another"),
            (4, {"outcome": ["perfect", None]}, "line 5: has a 'outcome' of the wrong kind (list)"),
            (4, {"outcome": ["refused", True]}, "line 5: has a 'outcome' of the wrong kind (list)"),
            (4, {"outcome": "complete"}, "line 5: has a 'outcome' of the wrong kind (str)"),
            (4, {"ended_ns": "1"}, "line 5: has a 'ended_ns' of the wrong kind (str)"),
            (4, {"events": 5}, "3 of 3 reads and 4 of 5 events were kept"),
        ],
    )
    def test_a_line_of_the_wrong_kind_is_named_even_if_its_checksum_is_right(
        self, file: Path, line: int, fields: dict[str, Any], complaint: str
    ) -> None:
        change(file, line, **fields)
        assert complaint in load_damaged(file).damage

    @settings(max_examples=300)
    @given(st.data())
    def test_no_damage_of_bytes_goes_unnoticed(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "damage.jsonl"
        small().save(path)
        whole = path.read_bytes()
        begin = data.draw(st.integers(0, len(whole)), label="begin")
        end = data.draw(st.integers(begin, min(len(whole), begin + 40)) | st.just(len(whole)), label="end")
        damaged = whole[:begin] + data.draw(st.binary(max_size=8), label="put there") + whole[end:]
        path.write_bytes(damaged)
        if damaged == whole:
            assert Recording.load(path) == small()
            return
        with warnings.catch_warnings(action="ignore"):
            try:
                recording = Recording.load(path)
            except RecordingFormatError:
                return
        assert recording.damage
        assert set(recording.events.text) <= set(small().events.text)
        assert set(recording.reads.at_ns) <= set(small().reads.at_ns)

    def test_every_single_flipped_bit_is_noticed(self, file: Path) -> None:
        whole = file.read_bytes()
        for position in random.Random(7).sample(range(len(whole)), 200):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << position % 8
            file.write_bytes(flipped)
            with warnings.catch_warnings(action="ignore"):
                try:
                    assert Recording.load(file).damage
                except RecordingFormatError:
                    assert position < whole.index(b"\n")


class TestCompressedFiles:
    def test_a_name_in_gz_compresses_and_the_same_comes_back(self, tmp_path: Path) -> None:
        many = Recording.from_pieces([(each * MS, "word ") for each in range(200)])
        for name in ("plain.jsonl", "packed.jsonl.gz"):
            many.save(tmp_path / name)
        assert Recording.load(tmp_path / "packed.jsonl.gz") == many
        sizes = [(tmp_path / name).stat().st_size for name in ("plain.jsonl", "packed.jsonl.gz")]
        assert sizes[1] < sizes[0] / 5
        assert gzip.decompress((tmp_path / "packed.jsonl.gz").read_bytes()) == (tmp_path / "plain.jsonl").read_bytes()

    def test_the_same_recording_is_the_same_file_whenever_it_is_saved(self, tmp_path: Path) -> None:
        for name in ("one.gz", "two.gz"):
            small().save(tmp_path / name)
        assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()

    def test_what_is_compressed_is_read_whatever_its_name(self, file: Path) -> None:
        file.write_bytes(gzip.compress(file.read_bytes()))
        assert Recording.load(file) == small()

    def test_of_one_that_was_cut_off_the_whole_lines_are_kept(self, tmp_path: Path) -> None:
        noise = random.Random(7)  # what does not compress stands evenly in the file
        texts = ["".join(noise.choices("abcdefghijklmnop", k=400)) for _ in range(60)]
        many = Recording.from_pieces([(at * MS, text) for at, text in enumerate(texts)])
        path = tmp_path / "many.jsonl.gz"
        many.save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        recording = load_damaged(path)
        assert many.text.startswith(recording.text)
        assert len(many.text) / 3 < len(recording.text) < len(many.text)

    def test_of_one_with_a_flipped_bit_no_line_is_another(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl.gz"
        small().save(path)
        whole = path.read_bytes()
        for place in range(30, len(whole), 7):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    recording = Recording.load(path)
                except RecordingFormatError:
                    continue
            assert recording == small() or recording.damage
