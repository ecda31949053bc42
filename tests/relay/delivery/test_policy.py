"""The policies: how they are written, what each keeps, and what it never does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import ConfigError
from streamkit.extractor.pieces import Piece
from streamkit.relay.delivery.policy import Policy, preferred


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("pause", Policy()),
        ("buffer", Policy("buffer")),
        ("buffer(65536)", Policy("buffer", max_bytes=65536)),
        ("coalesce(max_bytes=1)", Policy("coalesce", max_bytes=1)),
        (" latest ", Policy("latest")),
        ("disconnect(5)", Policy("disconnect", after_s=5.0)),
        ("disconnect(after_s=0.25)", Policy("disconnect", after_s=0.25)),
        ("disconnect(after=2)", Policy("disconnect", after_s=2.0)),
    ],
)
def test_a_policy_is_written_by_its_name_and_its_number(written: str, meant: Policy) -> None:
    assert Policy.of(written) == meant
    assert Policy.of(str(meant)) == meant, "and read back as it writes itself"
    assert Policy.of(meant) is meant


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "wait",
        "pause(3)",
        "latest(1)",
        "disconnect",
        "disconnect(0)",
        "buffer(0)",
        "buffer(1.5)",
        "buffer(-1)",
        "a b",
    ],
)
def test_what_makes_no_sense_is_refused_with_what_was_expected(wrong: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Policy.of(wrong)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ("backpressure=latest", "latest"),
        ('respond-async, backpressure="buffer(4096)"; foo="bar", wait=10', "buffer(4096)"),
        ("BackPressure = coalesce", "coalesce"),
        ("", None),
        ("respond-async", None),
        ("backpressure=whatever", None),
        ("backpressure", None),
        ("x-backpressure=latest", None),
    ],
)
def test_a_request_prefers_a_policy_and_what_cannot_be_met_is_passed_over(fields: str, wanted: str | None) -> None:
    assert preferred(fields) == (None if wanted is None else Policy.of(wanted))


def test_a_request_gets_no_more_memory_and_no_more_patience_than_the_relay_has() -> None:
    assert Policy.of("buffer(1000000)").within(4096, 30) == Policy.of("buffer(4096)")
    assert Policy.of("coalesce").within(4096, 30) == Policy.of("coalesce(4096)")
    assert Policy.of("buffer(10)").within(4096, 30) == Policy.of("buffer(10)")
    assert Policy.of("disconnect(100)").within(4096, 30) == Policy.of("disconnect(30)")
    assert Policy.of("disconnect(100)").within(4096, 0) == Policy.of("disconnect(100)"), "0 switches that deadline off"
    assert Policy.of("latest").within(4096, 30) == Policy.of("latest")


def lines(pieces: Sequence[Piece], dropped: int) -> bytes:
    """A format for these tests: `text` or `text(+dropped)`, a line each."""
    told = [f"(+{dropped})" if dropped else "", *("" for _ in pieces[1:])]
    return "".join(f"{piece.text}{said}\n" for piece, said in zip(pieces, told, strict=True)).encode()


def read(*texts: str) -> list[Piece]:
    return [Piece(text) for text in texts]


def test_pause_and_disconnect_keep_nothing() -> None:
    for name in ("pause", "disconnect(5)"):
        nothing = Policy.of(name).queue(1000)
        assert not nothing.offer(read("a"), lines)
        assert not nothing
        assert nothing.bytes == 0


def test_buffer_keeps_write_by_write_as_long_as_there_is_room() -> None:
    waiting = Policy.of("buffer(6)").queue(1000)
    assert [waiting.offer(read(*texts), lines) for texts in (["a", "b"], ["c"], ["d"])] == [True, True, False]
    assert waiting.bytes == 6
    assert [waiting.pop().data, waiting.pop().data, bool(waiting)] == [b"a\nb\n", b"c\n", False]
    assert waiting.offer(read("d"), lines)


def test_coalesce_lets_all_that_waits_leave_as_one_write() -> None:
    waiting = Policy.of("coalesce(6)").queue(1000)
    assert [waiting.offer(read(*texts), lines) for texts in (["a", "b"], ["c"], ["d"])] == [True, True, False]
    write = waiting.pop()
    assert (write.data, write.events, write.text_bytes) == (b"a\nb\nc\n", 3, 3)
    assert not waiting
    assert waiting.bytes == 0


def test_latest_keeps_the_newest_and_says_how_many_it_left_out() -> None:
    waiting = Policy.of("latest").queue(1000)
    assert waiting.offer(read("1"), lines)
    assert waiting.offer(read("2", "3"), lines)
    assert waiting.offer(read("4"), lines)
    assert waiting.bytes == len(b"4(+3)\n")
    write = waiting.pop()
    assert write.data == b"4(+3)\n"
    assert (write.events, write.text_bytes) == (4, 4), "the taps count all four: numbers stay the same everywhere"
    assert waiting.dropped == 3
    assert waiting.offer(read("5"), lines)
    assert waiting.pop().data == b"5\n", "the earlier ones were told already"


def test_what_alone_is_larger_than_the_bound_is_never_kept() -> None:
    for name in ("buffer(3)", "coalesce(3)"):
        assert not Policy.of(name).queue(1000).offer(read("abc"), lines)
    newest = Policy.of("latest").queue(3)
    assert newest.offer(read("ab"), lines)
    assert not newest.offer(read("abc"), lines)
    assert newest.pop().data == b"ab\n", "and nothing was lost for it"
    assert newest.dropped == 0


def test_without_a_number_of_its_own_a_policy_has_the_bound_of_the_relay() -> None:
    assert Policy.of("buffer").queue(2).offer(read("a"), lines)
    assert not Policy.of("buffer").queue(1).offer(read("a"), lines)


def test_reads_that_show_nothing_leave_no_empty_writes() -> None:
    for name in ("buffer", "coalesce"):
        waiting = Policy.of(name).queue(1000)
        assert waiting.offer(read("a"), lambda *_: b"")
        assert not waiting


@given(
    name=st.sampled_from(["pause", "buffer(40)", "coalesce(40)", "latest", "disconnect(1)"]),
    steps=st.lists(st.integers(0, 4), max_size=200),
)
def test_nothing_is_reordered_or_twice_nothing_is_lost_but_by_latest_and_the_bound_holds(
    name: str, steps: list[int]
) -> None:
    waiting = Policy.of(name).queue(40)
    offered, accepted, taken = 0, 0, []
    for step in steps:  # 0: the client takes a write, otherwise a read of so many pieces comes
        if step:
            texts = [str(offered + number) for number in range(step)]
            offered += step
            if waiting.offer(read(*texts), lines):
                accepted += step
            else:
                offered -= step
        elif waiting:
            taken.append(waiting.pop().data)
        assert waiting.bytes <= 40
    while waiting:
        taken.append(waiting.pop().data)
    got = [int(line.partition(b"(")[0]) for write in taken for line in write.splitlines()]
    assert got == sorted(set(got))
    assert len(got) + waiting.dropped == accepted == offered
    if name != "latest":
        assert waiting.dropped == 0
        assert got == list(range(accepted))
