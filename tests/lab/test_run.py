"""run(): the same from a synchronous cell or script. What changes the whole process runs in one of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap

import pytest

from streamkit.lab.run import run


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def in_a_process_of_its_own(code: str) -> str:
    """What the code prints; Python's own warnings are errors there."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_without_a_loop_it_runs_one() -> None:
    assert run(double(21)) == 42


def test_exceptions_come_out_as_they_are() -> None:
    async def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(fail())


def test_anything_but_a_coroutine_is_refused_with_the_right_way() -> None:
    with pytest.raises(TypeError, match=r"as in sk\.run\(sk\.record\(\.\.\.\)\), got int"):
        run(3)  # type: ignore[arg-type]  # the claim


def test_a_function_that_was_not_called_is_told_apart() -> None:
    with pytest.raises(TypeError, match=r"got function; call the function"):
        run(double)  # type: ignore[arg-type]  # the claim


def test_importing_changes_nothing() -> None:
    code = """
        import asyncio, sys
        before = (asyncio.run, asyncio.Task, asyncio.BaseEventLoop.run_until_complete)
        from streamkit.lab.run import run
        async def nothing(): return 1
        run(nothing())
        assert before == (asyncio.run, asyncio.Task, asyncio.BaseEventLoop.run_until_complete)
        print("nest_asyncio2" in sys.modules)
    """
    assert in_a_process_of_its_own(code) == "False"


def test_inside_a_running_loop_it_runs_to_the_end_and_the_loop_goes_on() -> None:
    code = """
        import asyncio
        from streamkit.lab.run import run

        async def slow(number):
            await asyncio.sleep(0.01)
            return number

        async def cell():
            other = asyncio.create_task(slow(1))
            inner = run(slow(2)) + run(slow(3))
            return inner, await other

        print(asyncio.run(cell()))
    """
    assert in_a_process_of_its_own(code) == "(5, 1)"


def test_inside_a_running_loop_exceptions_come_out_and_the_next_call_works() -> None:
    code = """
        import asyncio
        from streamkit.lab.run import run

        async def fail():
            await asyncio.sleep(0)
            raise KeyError("mine")

        async def fine():
            return "fine"

        async def cell():
            try:
                run(fail())
            except KeyError as error:
                return error.args[0], run(fine())

        print(asyncio.run(cell()))
    """
    assert in_a_process_of_its_own(code) == "('mine', 'fine')"


@pytest.mark.parametrize("start", ["cell()", "run(as_in_jupyter())"])
def test_an_interrupt_cancels_the_coroutine_and_waits_for_its_clean_up(start: str) -> None:
    code = f"""
        import asyncio, os, signal, threading
        from streamkit.lab.run import run

        told = []

        async def record():
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                told.append("cleaned up")

        def cell():
            try:
                run(record())
            except KeyboardInterrupt:
                told.append("interrupted")

        async def as_in_jupyter():
            signal.signal(signal.SIGINT, signal.default_int_handler)  # as ipykernel has it
            cell()
            told.append(len(asyncio.all_tasks()))

        {start}
        print(told)
    """
    expected = "['cleaned up', 'interrupted'" + (", 1]" if "jupyter" in start else "]")
    assert in_a_process_of_its_own(code) == expected


@pytest.mark.parametrize("start", ["cell()", "run(as_in_jupyter())"])
def test_a_recording_that_is_interrupted_is_the_interrupts_own_and_the_last(start: str) -> None:
    code = f"""
        import asyncio, os, signal
        import streamkit as sk
        from streamkit.lab.run import run

        def interrupt(_text):
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)

        lab = sk.Lab(sk.Script(["a", "b"], first_piece_ms=0, gap_ms=60_000))

        def cell():
            try:
                run(lab.ask("hi", accept="sse", on_piece=interrupt))
            except KeyboardInterrupt as error:
                recording = error.recording
                print(recording.text, recording.outcome, recording is sk.last_recording(of=error), end=" ")
                print(recording is sk.last_recording())

        async def as_in_jupyter():
            signal.signal(signal.SIGINT, signal.default_int_handler)  # as ipykernel has it
            cell()

        {start}
        lab.stop(0)
    """
    assert in_a_process_of_its_own(code) == "a cancelled(by us) True True"


def test_after_a_nested_call_a_plain_call_works_in_a_thread() -> None:
    code = """
        import asyncio, threading
        from streamkit.lab.run import run

        async def answer():
            await asyncio.sleep(0)
            return 42

        async def cell():
            return run(answer())

        run(cell())
        found = []
        thread = threading.Thread(target=lambda: found.append(run(answer())))
        thread.start()
        thread.join()
        print(found)
    """
    assert in_a_process_of_its_own(code) == "[42]"


def test_inside_a_running_uvloop_the_error_says_what_to_do_and_nothing_is_changed() -> None:
    code = """
        import asyncio, uvloop
        from streamkit.lab.run import run

        async def cell():
            before = (asyncio.run, asyncio.Task)
            try:
                run(asyncio.sleep(0))
            except RuntimeError as error:
                assert before == (asyncio.run, asyncio.Task)
                return str(error)

        print(uvloop.run(cell()))
    """
    assert "only asyncio's own loops" in in_a_process_of_its_own(code)


def test_it_records_inside_a_running_loop() -> None:
    code = """
        import asyncio
        from streamkit.lab.client.record import record
        from streamkit.lab.run import run

        async def serve(reader, writer):
            await reader.readuntil(b"\\r\\n\\r\\n")
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
            writer.close()

        async def cell():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            recording = run(record(f"http://127.0.0.1:{port}/", total_s=10))
            server.close()
            return recording

        print(asyncio.run(cell()))
    """
    assert in_a_process_of_its_own(code) == "<Recording complete: 2 characters>"
