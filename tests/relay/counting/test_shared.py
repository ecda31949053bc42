"""What several workers count, told to each other by files: all is counted once, whoever ends, and however."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from streamkit.errors import ConfigError
from streamkit.outcome import Outcome
from streamkit.relay.counting.counts import Counts, State, added
from streamkit.relay.counting.shared import SharedCounts
from streamkit.relay.log import StreamRecord


class Worker:
    """One that has answered so many."""

    def __init__(self, folder: Path, answers: int) -> None:
        self.counts = Counts()
        self.shared = SharedCounts(str(folder))
        for _ in range(answers):
            self.counts.answered(StreamRecord("a", Outcome("complete")))

    def dies(self) -> None:
        """As by a signal: it says nothing more, and the kernel takes its lock."""
        assert self.shared._alive is not None
        self.shared._alive.close()


def answers(states: list[State]) -> int:
    return sum(row[-1] for row in added(states)["answered"])


def among(folder: Path, claim: Callable[[Worker, Worker, Worker], None]) -> None:
    """Three workers, of one, two and four answers."""

    async def main() -> None:
        workers = [Worker(folder, number) for number in (1, 2, 4)]
        for worker in workers:
            worker.shared.open(worker.counts.state)
        claim(*workers)
        for worker in workers:
            with contextlib.suppress(ValueError):
                await worker.shared.close(worker.counts.state())

    asyncio.run(main())


def test_each_finds_what_the_others_have_counted(tmp_path: Path) -> None:
    def claim(one: Worker, two: Worker, three: Worker) -> None:
        for reader, found in ((one, 6), (two, 5), (three, 3)):
            running, gone = reader.shared.others()
            assert (answers(running), gone) == (found, [])

    among(tmp_path, claim)


def test_what_one_has_counted_that_has_died_stays_and_its_files_do_not(tmp_path: Path) -> None:
    def claim(one: Worker, two: Worker, three: Worker) -> None:
        two.dies()
        for reader in (one, one, three):  # and it is summed up once
            running, gone = reader.shared.others()
            assert answers(gone) == 2
            assert len(running) == 1
        three.dies()
        assert answers(one.shared.others()[1]) == 6
        assert len(list(tmp_path.glob("*.alive"))) == 1
        assert len(list(tmp_path.glob("*.json"))) == 2  # one, and the sums

    among(tmp_path, claim)


def test_a_reader_that_is_killed_between_summing_up_and_removing_makes_nothing_count_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim(one: Worker, two: Worker, three: Worker) -> None:
        two.dies()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", _killed)
            with pytest.raises(InterruptedError):
                one.shared.others()
        three.dies()
        assert answers(one.shared.others()[1]) == 6

    among(tmp_path, claim)


def _killed(path: Path, *, missing_ok: bool = False) -> None:
    raise InterruptedError(path, missing_ok)


def test_a_file_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    def claim(one: Worker, two: Worker, three: Worker) -> None:
        (tmp_path / f"{two.shared._name}.json").write_text("{half")
        assert answers(one.shared.others()[0]) == 4
        assert answers(three.shared.others()[0]) == 1

    among(tmp_path, claim)


def test_who_ends_tells_the_last_it_has_counted(tmp_path: Path) -> None:
    async def main() -> None:
        one, two = Worker(tmp_path, 1), Worker(tmp_path, 2)
        for worker in (one, two):
            worker.shared.open(worker.counts.state)
        two.counts.answered(StreamRecord("a", Outcome("complete")))
        await two.shared.close(two.counts.state())
        running, gone = one.shared.others()
        assert (running, answers(gone)) == ([], 3)
        await one.shared.close(one.counts.state())

    asyncio.run(main())


def test_a_folder_that_cannot_be_had_is_said_when_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="a folder for the workers' metrics"):
        SharedCounts(str(tmp_path / "file" / "below"))
