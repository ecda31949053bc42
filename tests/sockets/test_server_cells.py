"""serve(): what makes way for what: servers of one name, and cells that are run again."""

from __future__ import annotations

import gc

import pytest

from streamkit.errors import ServerError
from streamkit.serving.listener import free_port
from streamkit.serving.server import serve, servers, stop_all
from tests import server_apps
from tests.cells import FakeShell
from tests.server_apps import make_app

pytestmark = pytest.mark.usefixtures("nothing_left")


class TestNames:
    def test_a_living_server_of_the_same_name_is_replaced(self) -> None:
        port = free_port()
        first = serve(make_app, name="relay", port=port)
        with serve(make_app, name="relay", port=port) as second:
            assert not first.running
            assert servers() == [second]

    def test_servers_without_a_name_do_not_replace_each_other(self) -> None:
        with serve(make_app) as one, serve(make_app) as two:
            assert one.name != two.name
            assert one.running

    def test_a_failed_start_takes_no_name(self) -> None:
        with pytest.raises(ServerError):
            serve(server_apps.make_broken, name="relay")
        with serve(make_app, name="relay") as server:
            assert server.name == "relay"

    def test_stop_all_stops_all(self) -> None:
        started = [serve(make_app), serve(make_app, process=True)]
        stop_all()
        assert [server.running for server in started] == [False, False]


class TestCells:
    """A cell that is run again stops what its earlier run has started; `kept` holds every handle, as Out[] does."""

    KEEP = "kept.append(serve(make_app))"

    def test_a_cell_run_again_replaces_its_server(self, shell: FakeShell) -> None:
        for _ in range(3):
            shell.run(self.KEEP)
        assert [server.running for server in shell.user_ns["kept"]] == [False, False, True]

    def test_a_fixed_port_is_free_again(self, shell: FakeShell) -> None:
        source = f"kept.append(serve(make_app, port={free_port()}))"
        for _ in range(3):
            shell.run(source)
        assert len(servers()) == 1

    def test_servers_of_one_run_live_side_by_side(self, shell: FakeShell) -> None:
        for _ in range(2):
            shell.run(f"for _ in range(2): {self.KEEP}")
        assert [server.running for server in shell.user_ns["kept"]] == [False, False, True, True]

    def test_servers_of_other_cells_live_on(self, shell: FakeShell) -> None:
        shell.run(self.KEEP)
        shell.run(self.KEEP + "  # another cell")
        assert len(servers()) == 2

    def test_an_edited_cell_is_known_by_its_id(self, shell: FakeShell) -> None:
        shell.run(self.KEEP, "a1b2")
        shell.run(self.KEEP + "  # edited", "a1b2")
        assert [server.running for server in shell.user_ns["kept"]] == [False, True]

    def test_cells_of_the_same_source_are_told_apart_by_their_ids(self, shell: FakeShell) -> None:
        shell.run(self.KEEP, "a1b2")
        shell.run(self.KEEP, "c3d4")
        assert len(servers()) == 2

    def test_a_helper_from_an_earlier_cell_serves_the_cell_that_calls_it(self, shell: FakeShell) -> None:
        shell.run(f"def start(): {self.KEEP}")
        shell.run("start()  # one")
        shell.run("start()  # two")
        assert len(servers()) == 2

    def test_an_edited_cell_that_rebinds_its_variable_leaves_one_server(self, shell: FakeShell) -> None:
        shell.run("server = serve(make_app)")
        shell.run("server = serve(make_app)  # edited")
        gc.collect()
        assert servers() == [shell.user_ns["server"]]

    def test_a_failing_factory_stops_nothing_that_is_not_its_own(self, shell: FakeShell) -> None:
        shell.run(self.KEEP)
        with pytest.raises(TypeError):
            shell.run("serve(42)")
        assert len(servers()) == 1
