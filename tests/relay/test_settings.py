"""Deadlines and limits: one definition for fields, options and environment variables."""

from __future__ import annotations

import pytest

from streamkit.errors import ConfigError
from streamkit.relay.settings import Buffers, Deadlines, Limits, Tracing, check_names, options, settings_from

NAMES = ["head_s", "body_s", "connect_s", "first_piece_s", "idle_s", "write_stall_s", "total_s", "grace_s"]
NAMES += ["heartbeat_s", "drain_s"]


def test_every_deadline_and_limit_is_an_option_and_a_variable() -> None:
    flags = {option.name: (option.flag, option.env) for option in options()}
    assert flags["idle_s"] == ("--idle-s", "STREAMKIT_IDLE_S")
    assert flags["max_streams"] == ("--max-streams", "STREAMKIT_MAX_STREAMS")
    limits = {"max_streams", "max_body_bytes", "max_line_bytes", "max_event_bytes", "max_pending_bytes"}
    buffers = {"send_buffer_bytes", "write_buffer_bytes", "receive_buffer_bytes", "read_ahead_bytes"}
    resuming = {"resume_grace_s", "resume_keep_s", "resume_lease_s", "resume_max_bytes", "resume_max_total_bytes"}
    shipped = {"max_upload_bytes", "upload_stall_s", "max_jobs", "job_queue", "job_s"}
    assert shipped | resuming | set(NAMES) | limits | buffers | {
        "gauge_ms",
        "connect_retries",
        "retry_backoff_ms",
    } == set(flags)


def test_what_is_given_wins_over_the_environment_and_that_over_the_default() -> None:
    env = {"STREAMKIT_IDLE_S": "2.5", "STREAMKIT_TOTAL_S": "9", "STREAMKIT_MAX_STREAMS": "7"}
    deadlines, limits, buffers, *_ = settings_from({"idle_s": 1, "head_s": None, "read_ahead_bytes": 0}, env)
    assert deadlines == Deadlines(idle_s=1, total_s=9.0)
    assert limits == Limits(max_streams=7)
    assert buffers == Buffers(read_ahead_bytes=0)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "5", True, None])
def test_a_deadline_that_makes_no_sense_is_refused_by_name(value: object) -> None:
    with pytest.raises(ConfigError, match="idle_s as seconds >= 0"):
        Deadlines(idle_s=value)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("value", [0, -1, 1.5, "5", True])
def test_a_limit_that_makes_no_sense_is_refused_by_name(value: object) -> None:
    with pytest.raises(ConfigError, match="max_streams as an integer >= 1"):
        Limits(max_streams=value)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("value", [-1, 1.5, "5", True])
def test_a_buffer_may_be_empty_but_not_less(value: object) -> None:
    with pytest.raises(ConfigError, match="send_buffer_bytes as an integer >= 0"):
        Buffers(send_buffer_bytes=value)  # type: ignore[arg-type]  # the point of the test


def test_a_distance_of_samples_is_told_in_milliseconds() -> None:
    with pytest.raises(ConfigError, match="gauge_ms as milliseconds >= 0"):
        Tracing(gauge_ms=-1)
    with pytest.raises(ConfigError, match="expected STREAMKIT_GAUGE_MS as milliseconds"):
        settings_from({}, {"STREAMKIT_GAUGE_MS": "often"})


def test_a_variable_that_does_not_parse_is_named() -> None:
    with pytest.raises(ConfigError, match="expected STREAMKIT_IDLE_S as seconds, got 'soon'"):
        settings_from({}, {"STREAMKIT_IDLE_S": "soon"})


def test_a_misspelt_setting_is_a_type_error_that_names_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"^unknown setting 'idel_s': did you mean 'idle_s'\?$"):
        settings_from({"idel_s": 1}, {})
    check_names(["model", "idle_s"], ["model"])
    with pytest.raises(TypeError, match=r"^unknown setting 'modle': did you mean 'model'\?$"):
        check_names(["modle"], ["model"])
    with pytest.raises(TypeError, match=r"^unknown setting 'role': did you mean 'roles'\?$"):
        check_names(["role"], meant=["roles"])


def test_an_unknown_setting_is_a_type_error_that_lists_the_known_ones() -> None:
    with pytest.raises(TypeError, match=r"unknown setting 'colour'; expected one of head_s, .*max_streams"):
        settings_from({"colour": 1}, {})
