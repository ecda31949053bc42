"""Computations over plain sockets: their results, who leaves and comes back, what is refused, and when it is over."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streamkit.app import create_app
from streamkit.serving.server import Server, serve
from tests.routes import NDJSON, SSE, TEXT, Answer, Asked, Event, ask, log_lines
from tests.servers import eventually, leaves_nothing

PI = {"job": "pi", "arguments": {"samples": 20_000, "seed": 1}}
LONG = {"job": "pi", "arguments": {"samples": 10**12}}
"""Hours."""
FAILS = {"job": "fails", "arguments": {"after": 2}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = partial(create_app, uses="jobs", max_jobs=2, job_queue=1, job_s=3)
    with leaves_nothing(), serve(made) as running:
        yield running


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    with log_lines() as kept:
        yield kept


def still_there(path: Path) -> str:
    """What the file of a thread or a process says; nothing, if that has ended meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""


def working() -> set[int]:
    """The processes of jobs, of servers in this process, that are at work: not asleep."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for child in map(int, still_there(task / "children").split()):
            if still_there(Path(f"/proc/{child}/stat")).rpartition(")")[2].split()[:1] == ["R"]:
                found.add(child)
    return found


def begin(url: str, job: Any, accept: str = NDJSON) -> Asked:
    """Asked, and at work or in the queue."""
    body = json.dumps(job).encode()
    asked = Asked(url, "/jobs", length=len(body), content_type="application/json", accept=accept)
    asked.send(body).until(lambda answer: bool(answer.body))
    return asked


def messages(answer: Answer) -> list[str]:
    return [each.data["message"] for each in answer.events if each.kind == "progress"]


# --- What comes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT])
def test_results_come_and_the_last_one_says_so(accept: str, server: Server) -> None:
    answer = ask(server.url, "/jobs", PI, accept=accept)
    assert answer.whole
    assert [value["samples"] for value in answer.values] == [1000, 2000, 4000, 8000, 16_000, 20_000]
    assert answer.final["pi"] == pytest.approx(3.14, abs=6 * answer.final["standard_error"])
    assert answer.values[0]["standard_error"] > 2 * answer.final["standard_error"]
    if accept != TEXT:
        told = [each.data for each in answer.events if each.kind == "progress"]
        assert told[0] == {"progress": 0, "total": None, "message": "started"}
        assert told[-1] == {"progress": 20_000, "total": 20_000, "message": ""}
        assert [each["progress"] for each in told] == sorted(each["progress"] for each in told)
        assert answer.end.kind == "done"


def test_progress_is_a_line_of_its_own(server: Server) -> None:
    answer = ask(server.url, "/jobs", PI)
    assert b'{"progress":{"progress":0,"total":null,"message":"started"}}\n' in answer.body
    text = ask(server.url, "/jobs", PI, accept=TEXT, prefer="progress=lines")
    assert b'{"progress":{"progress":0,"total":null,"message":"started"}}\n' in text.body


@pytest.mark.parametrize("accept", [SSE, NDJSON])
def test_a_job_that_fails_is_an_error_behind_its_results_and_tells_nothing_of_its_inside(
    accept: str, server: Server, lines: list[dict[str, Any]]
) -> None:
    answer = ask(server.url, "/jobs", FAILS, accept=accept)
    assert answer.values == [{"result": 1}, {"result": 2}]
    assert (answer.code, answer.end.data["outcome"]) == ("job_failed", "error_event(job_failed)")
    assert b"asked to" not in answer.body
    assert b"Traceback" not in answer.body
    assert eventually(lambda: bool(lines))
    assert "asked to" in lines[0]["why"]


def test_in_text_a_job_that_fails_is_a_cut(server: Server) -> None:
    answer = ask(server.url, "/jobs", FAILS, accept=TEXT)
    assert (answer.body, answer.whole) == (b'{"result":1}\n{"result":2}\n', False)


def test_of_a_hundred_thousand_reports_no_result_is_lost_and_progress_is_the_latest(server: Server) -> None:
    answer = ask(server.url, "/jobs", {"job": "noisy", "arguments": {"reports": 100_000}})
    assert [value["result"] for value in answer.values[:-1]] == [*range(1, 101)]
    assert answer.final == {"reports": 100_000, "results": 100, "final": True}
    assert len(messages(answer)) < 200


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        ({"job": "none"}, "unknown_job", "fails, fit, noisy, pi, words"),
        ({"job": ["pi"]}, "unknown_job", "pi"),
        ({"job": "pi"}, "bad_arguments", "samples"),
        ({"job": "pi", "arguments": {"samples": 0}}, "bad_arguments", "from 1"),
        ({"job": "pi", "arguments": {"samples": 1, "more": 1}}, "bad_arguments", "seed"),
        ({"job": "pi", "arguments": []}, "bad_arguments", "object"),
        ({"jobs": "pi"}, "bad_job", "arguments"),
        ([], "bad_job", "arguments"),
    ],
)
def test_what_there_is_not_is_422_and_says_what_there_is(asked: Any, code: str, says: str, server: Server) -> None:
    answer = ask(server.url, "/jobs", asked)
    assert (answer.status, answer.code) == (422, code)
    assert says in answer.problem["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_json"),
        (b'{"job":"pi"}', "text/plain", 415, "unsupported_media_type"),
        (b"[" * 100_000, "application/json", 400, "bad_json"),
        (b" " * (1 << 20) + b"{}", "application/json", 413, "body_too_large"),
    ],
)
def test_a_body_that_is_no_json_is_refused(
    body: bytes, content_type: str, status: int, code: str, server: Server
) -> None:
    answer = ask(server.url, "/jobs", body, content_type=content_type)
    assert (answer.status, answer.code) == (status, code)


# --- Who leaves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_who_leaves_stops_it(how: str, server: Server, lines: list[dict[str, Any]]) -> None:
    with begin(server.url, LONG) as asked:
        assert eventually(lambda: bool(working()))
        asked.leave(how)
    assert eventually(lambda: not working())
    assert eventually(lambda: bool(lines))
    assert lines[0]["outcome"] == "cancelled"


def test_beyond_those_that_may_wait_it_is_503_and_who_waits_is_told_so_and_comes_to_its_turn(server: Server) -> None:
    with begin(server.url, LONG) as one, begin(server.url, LONG), begin(server.url, PI) as waits:
        assert messages(waits.so_far) == ["queued"]
        refused = ask(server.url, "/jobs", PI)
        assert (refused.status, refused.code) == (503, "too_many_jobs")
        assert int(refused.heads["retry-after"]) > 0
        one.leave("RST")
        assert waits.answer().final["samples"] == 20_000
        assert messages(waits.so_far)[:2] == ["queued", "started"]


def test_it_has_so_much_time_and_no_more() -> None:
    with serve(partial(create_app, uses="jobs", job_s=0.3)) as short:
        answer = ask(short.url, "/jobs", LONG)
        assert (answer.code, answer.end.data["outcome"]) == ("timeout_job", "timeout(job)")
        assert eventually(lambda: not working())


def test_a_worker_that_is_killed_is_noticed_and_replaced(server: Server) -> None:
    with begin(server.url, LONG) as asked:
        assert eventually(lambda: bool(working()))
        for pid in working():
            os.kill(pid, signal.SIGKILL)
        assert asked.answer().code == "worker_lost"
    assert ask(server.url, "/jobs", PI).final


# --- Who comes back ---------------------------------------------------------------------------------------------------


def later(url: str, job: Any, **headers: str) -> str:
    """Asked, and left alone; where it is."""
    answer = ask(url, "/jobs", job, prefer="respond-async", **headers)
    assert (answer.status, answer.heads["preference-applied"]) == (202, "respond-async")
    return answer.heads["location"]


def told(url: str, path: str, **headers: str) -> Answer:
    return ask(url, path, method="GET", **headers)


def status(url: str, path: str) -> dict[str, Any]:
    return dict(json.loads(told(url, f"{path}/status").body))


def test_who_does_not_wait_comes_back_and_several_may_read_it(server: Server) -> None:
    path = later(server.url, {"job": "noisy", "arguments": {"reports": 50_000}})
    with Asked(server.url, path, method="GET") as one, Asked(server.url, path, method="GET", accept=SSE) as other:
        results = [[value["result"] for value in asked.answer().values[:-1]] for asked in (one, other)]
        assert results == [[*range(1, 51)]] * 2
    assert eventually(lambda: status(server.url, path)["state"] == "ended")
    assert status(server.url, path)["outcome"] == "complete"
    assert told(server.url, path).final == one.so_far.final
    last = one.so_far.events[-2].id
    assert [each.kind for each in told(server.url, path, last_event_id=last).events] == ["done"]


def test_delete_stops_the_work(server: Server) -> None:
    path = later(server.url, LONG)
    assert eventually(lambda: bool(working()))
    assert status(server.url, path)["state"] == "running"
    with Asked(server.url, path, method="GET") as reader:
        reader.until(lambda answer: bool(answer.body))
        assert ask(server.url, path, method="DELETE").status == 204
        assert eventually(lambda: not working())
        assert reader.answer().code == "stopped"


def test_a_key_finds_the_same_job_and_no_other_question(server: Server) -> None:
    path = later(server.url, PI, idempotency_key='"k1"')
    same = {"arguments": {"seed": 1, "samples": 20_000}, "job": "pi"}
    assert later(server.url, same, idempotency_key='"k1"') == path
    other = ask(server.url, "/jobs", FAILS, prefer="respond-async", idempotency_key='"k1"')
    assert (other.status, other.code) == (422, "idempotency_key_reused")


def test_nobody_elses_job_is_found(server: Server) -> None:
    path = later(server.url, PI, authorization="Bearer mine")
    assert told(server.url, path).status == 404
    assert told(server.url, path, authorization="Bearer mine").final


# --- Where streams can be resumed -------------------------------------------------------------------------------------


def test_where_streams_can_be_resumed_who_is_cut_goes_on_behind_what_came() -> None:
    with serve(partial(create_app, uses="jobs", resume=True)) as server:
        with begin(server.url, {"job": "noisy", "arguments": {"reports": 100_000}}, accept=SSE) as asked:
            asked.until(lambda answer: len(answer.values) > 5)
            came = asked.so_far
            asked.leave("RST")
        rest = ask(server.url, "/jobs", b"", accept=SSE, last_event_id=came.events[-1].id)
        whole: list[Event] = [*came.events, *rest.events]
        assert [each.data["result"] for each in whole if "result" in each.data] == [*range(1, 101)]
        assert rest.final
        once = ask(server.url, "/jobs", PI, accept=SSE, idempotency_key='"k"')
        again = ask(server.url, "/jobs", PI, accept=SSE, idempotency_key='"k"')
        assert once.heads["x-stream-id"] == again.heads["x-stream-id"]
        assert once.values == again.values
    assert eventually(lambda: not working())


def test_a_server_that_stops_ends_its_jobs_by_name_and_leaves_no_process() -> None:
    with serve(partial(create_app, uses="jobs")) as server, begin(server.url, LONG) as asked:
        assert eventually(lambda: bool(working()))
        server.stop(0.1)
        assert asked.answer().code == "shutting_down"
        assert eventually(lambda: not working())
