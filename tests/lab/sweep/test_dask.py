"""A cluster of dask's, with two workers in processes of their own, gives the rows that our own processes give."""

from __future__ import annotations

from streamkit.lab.sweep import sweep
from tests.lab.sweep import trials
from tests.lab.sweep.cluster import cluster
from tests.lab.sweep.test_sweeping import GRID, here, told


def test_24_trials_on_a_cluster_give_the_rows_of_any_other_executor() -> None:
    with cluster() as client:
        executor = client.get_executor()
        assert told(sweep(trials.noisy, GRID, executor, repeats=4, progress=False)) == told(
            here(trials.noisy, GRID, repeats=4)
        )
        failing = sweep(trials.fails_on_two, {"a": [1, 2]}, executor, progress=False)
        assert [row.error for row in failing.failed] == ["ValueError: no luck with … today"]
        where = sweep(trials.process, {"a": [*range(20)]}, executor, progress=False)
        assert len({row.metrics["value"] for row in where.rows}) == 2, "both workers had some"
