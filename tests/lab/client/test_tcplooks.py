"""What the kernel knows of a connection is looked at seldom: after the head, behind silences, at the end."""

from __future__ import annotations

from streamkit.lab.client.tcplooks import MAX_LOOKS, SILENCE_NS, TcpLooks
from streamkit.sockets import TcpInfo

S = 1_000_000_000


class Kernel:
    """What it tells next, by a clock that stands."""

    def __init__(self) -> None:
        self.now_ns = self.asked = self.out_of_order = 0

    def look(self) -> TcpInfo:
        self.asked += 1
        return TcpInfo(80, 70, 0, 0, self.out_of_order, self.asked)


def looks(kernel: Kernel) -> TcpLooks:
    made = TcpLooks(lambda: kernel.now_ns)
    made.begin(kernel.look)
    made.came(100 * S)
    kernel.asked = 1
    return made


def test_reads_that_follow_each_other_cost_no_look() -> None:
    kernel = Kernel()
    made = looks(kernel)
    for n in range(50):
        made.came(100 * S + n * 20_000_000)
    assert kernel.asked == 1


def test_behind_a_silence_there_is_a_look() -> None:
    kernel = Kernel()
    made = looks(kernel)
    made.came(100 * S + SILENCE_NS + 1)
    assert kernel.asked == 2


def test_of_several_reads_given_at_once_the_longest_silence_counts() -> None:
    kernel = Kernel()
    made = looks(kernel)
    stamps = [100 * S, 100 * S + 10, 100 * S + SILENCE_NS + 20, 100 * S + SILENCE_NS + 30]
    made.came_several([(b"x", n, (at_ns, "kernel", 0, at_ns)) for n, at_ns in enumerate(stamps)])
    assert kernel.asked == 2


def test_a_stream_without_silences_is_looked_at_now_and_then() -> None:
    kernel = Kernel()
    made = looks(kernel)
    for n in range(100):
        made.came(100 * S + n * SILENCE_NS // 2)
    assert 2 < kernel.asked < 8


def test_of_looks_between_which_nothing_happened_two_are_kept() -> None:
    kernel = Kernel()
    made = looks(kernel)
    for n in range(9):
        kernel.now_ns, kernel.out_of_order = n * S, int(n > 4)
        made.look()
    told = made.as_dict()
    assert told["at_ns"] == [0, 4 * S, 5 * S, 8 * S]
    assert told["out_of_order"] == [0, 0, 1, 1]


def test_there_are_never_more_than_so_many_and_the_last_is_the_newest() -> None:
    kernel = Kernel()
    made = looks(kernel)
    for n in range(300):
        kernel.now_ns, kernel.out_of_order = n * S, n
        made.look()
    told = made.as_dict()
    assert len(told["at_ns"]) == MAX_LOOKS
    assert (told["at_ns"][-1], told["out_of_order"][-1]) == (299 * S, 299)


def test_where_the_kernel_tells_nothing_nothing_is_kept() -> None:
    made = TcpLooks(lambda: 0)
    made.begin(lambda: None)
    made.came(100 * S)
    made.end()
    assert made.as_dict() == {}
