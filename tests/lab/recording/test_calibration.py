"""What a calibration found: its arithmetic, its table, and as JSON."""

from __future__ import annotations

import json

import pytest

from streamkit.lab.recording.calibration import Calibration, Lag

EXAMPLE = Calibration(
    timer_p50_ns=118_000,
    timer_p99_ns=5_400_000,
    loop_p99_ns=1_000_000,
    loop_max_ns=2_500_000,
    clock_ns=53,
    stamp_ns=297,
    lags=(Lag(20, 10, 136_000, 199_000, 199_000), Lag(1000, 400, 45_000, 68_000, 168_000)),
    started_at="2026-11-22T20:00:00.000+00:00",
    origin="boot-0123456789abcdef",
    notes=("a <note>",),
)


def test_percentiles_of_the_lag_are_lags_that_occurred() -> None:
    assert Lag.of(20, list(range(1, 201))) == Lag(20, 200, 100, 190, 198)


def test_with_few_reads_the_99th_percentile_is_the_largest() -> None:
    assert Lag.of(20, [30, 10, 20]).p99_ns == 30


def test_the_worst_rate_speaks_for_all() -> None:
    assert EXAMPLE.lag_p99_ns == 199_000


def test_what_was_not_measured_is_none() -> None:
    told = {**EXAMPLE.as_dict(), "lags": []}
    assert Calibration.from_dict(told).lag_p99_ns is None


def test_it_goes_through_json_and_back() -> None:
    assert Calibration.from_dict(json.loads(json.dumps(EXAMPLE.as_dict()))) == EXAMPLE


def test_keys_of_a_later_version_are_passed_over() -> None:
    assert Calibration.from_dict({**EXAMPLE.as_dict(), "moon_phase": 1}) == EXAMPLE


@pytest.mark.parametrize("told", [{}, {**EXAMPLE.as_dict(), "lags": 5}, {**EXAMPLE.as_dict(), "lags": [{"p50": 1}]}])
def test_what_is_no_calibration_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected what Calibration"):
        Calibration.from_dict(told)


def test_the_table_has_units_and_notes() -> None:
    text = str(EXAMPLE)
    assert text.splitlines()[0].split() == ["timer", "lateness", "p50", "0.12", "ms"]
    assert "136 / 199 / 199 µs" in text
    assert text.endswith("* a <note>")
    assert len({len(line) for line in text.splitlines()[:-1]}) == 1


def test_the_html_is_escaped() -> None:
    assert "<li>a &lt;note&gt;</li>" in EXAMPLE._repr_html_()
