"""Every command on labs of real processes: redis-server's, so that what fails here is lab's fault."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.running import REDIS_ENGINE, Shardlab, processes_in, taken_down, wait_gone
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")

NODES = [f"node-{n}" for n in range(6)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shardlab]:
    """One lab for the tests that leave it whole."""
    with taken_down(Shardlab(tmp_path_factory.mktemp("lab"), *REDIS_ENGINE)) as shardlab:
        shardlab.up_detached()
        yield shardlab


@pytest.fixture
def shardlab(tmp_path: Path) -> Iterator[Shardlab]:
    """A lab that does not run yet."""
    with taken_down(Shardlab(tmp_path / "lab", *REDIS_ENGINE)) as shardlab:
        yield shardlab


def rows(status: str) -> dict[str, list[str]]:
    """The table of `status` by name."""
    return {words[0]: words[1:] for line in status.splitlines() if (words := line.split())}


def test_status_of_a_whole_lab(running: Shardlab) -> None:
    status = running.ok("status")
    assert status.splitlines()[-1] == "ready"
    shown = rows(status)
    assert [name for name in shown if name in NODES] == NODES
    assert all(shown[name][2] == "running" for name in NODES)
    assert shown["node-0"][0] == str(running.base)
    assert shown["node-0"][1] == str(running.lab.find("node-0").pid)
    assert sorted(shown[name][3] for name in NODES) == ["M", "M", "M", "S", "S", "S"]


def test_lab_json_is_enough_to_reach_and_restart_every_process(running: Shardlab) -> None:
    for entry in running.lab.processes:
        assert entry.folder == running.folder.resolve() / entry.name
        assert "Ready to accept connections" in entry.log.read_text()
        assert entry.command[1:] == ["redis.conf"]
        with socket.create_connection(entry.address):
            pass


def test_a_second_up_says_that_one_runs(running: Shardlab) -> None:
    line = running.refused("up")
    assert line.startswith(f"shardlab: a lab is running in {running.folder} already (6 processes)")
    assert running.alive() == NODES


def test_a_lab_whose_ports_are_taken_names_them_and_starts_nothing(running: Shardlab, shardlab: Shardlab) -> None:
    line = shardlab.refused("up", "--port-base", str(running.base + 5))
    assert line == (
        f"shardlab: port {running.base + 5} of node-0 is already in use; "
        f"bus port {running.base + 10_005} of node-0 is already in use"
    )
    assert not (shardlab.folder / "lab.json").exists()
    assert not processes_in(shardlab.folder)


def test_kill_is_seen_and_restart_heals_it(running: Shardlab) -> None:
    before = running.lab.find("node-5").pid
    assert running.ok("kill", "node-5") == f"node-5 (pid {before}) is dead\n"
    assert rows(running.ok("status"))["node-5"][1:3] == ["-", "dead"]
    assert running.refused("kill", "node-5") == "shardlab: node-5 is not running"
    assert running.refused("pause", "node-5") == "shardlab: node-5 is not running"
    running.ok("restart", "node-5")
    assert running.lab.find("node-5").pid != before
    wait_for(lambda: running.ok("status").endswith("\nready\n"), what="a whole lab")


def test_an_outside_kill_is_seen(running: Shardlab) -> None:
    identity = running.lab.find("node-4").identity
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    wait_for(lambda: "node-4" not in running.alive())
    assert "not ready: node-4 is dead" in running.ok("status").splitlines()
    running.ok("restart", "node-4")
    wait_for(lambda: running.ok("status").endswith("\nready\n"), what="a whole lab")


def test_pause_and_resume(running: Shardlab) -> None:
    pid = running.lab.find("node-3").pid
    assert running.refused("resume", "node-3") == "shardlab: node-3 is not paused"
    assert running.ok("pause", "node-3") == f"node-3 (pid {pid}) is paused\n"
    assert rows(running.ok("status"))["node-3"][2] == "paused"
    assert running.refused("pause", "node-3") == "shardlab: node-3 is paused already"
    assert running.ok("resume", "node-3") == f"node-3 (pid {pid}) goes on\n"
    wait_for(lambda: running.ok("status").endswith("\nready\n"), what="a whole lab")


def test_restart_of_a_running_process_keeps_its_data(running: Shardlab) -> None:
    before = running.lab.find("node-3").pid
    running.ok("restart", "node-3")
    after = running.lab.find("node-3").pid
    assert after != before
    wait_for(lambda: running.ok("status").endswith("\nready\n"), what="a whole lab")


def test_an_unknown_name(running: Shardlab) -> None:
    assert running.refused("kill", "node-77").startswith(
        "shardlab: no process is called 'node-77' here; there are: node-0,"
    )


def test_ctrl_c_stops_all_of_it(shardlab: Shardlab) -> None:
    with shardlab.up_foreground() as up:
        assert up.stdout is not None
        assert "ready in" in up.stdout.readline()
        assert len(processes_in(shardlab.folder)) == 6
        shardlab.ok("kill", "node-0")
        for line in up.stdout:
            if line == "node-0: dead\n":
                break
        up.send_signal(signal.SIGINT)
        out, err = up.communicate(timeout=20)
    assert (up.returncode, err) == (0, "")
    assert out.endswith("stopping ...\n")
    wait_gone(shardlab.folder)
    assert shardlab.alive() == []


def test_ctrl_c_stops_all_of_it_even_when_its_file_is_gone(shardlab: Shardlab) -> None:
    with shardlab.up_foreground() as up:
        assert up.stdout is not None
        assert "ready in" in up.stdout.readline()
        pids = processes_in(shardlab.folder)
        (shardlab.folder / "lab.json").unlink()
        assert up.wait(timeout=20) == 0
    assert len(pids) == 6
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what="the end of all processes")


def test_the_data_outlives_down_until_it_is_thrown_away(shardlab: Shardlab) -> None:
    with shardlab.up_foreground() as up:
        assert up.stdout is not None
        assert "ready in" in up.stdout.readline()
        with socket.create_connection(shardlab.lab.find("node-0").address) as client:
            # Slot 3300, in the first shard.
            client.sendall(b"SET b kept\r\n")
            assert client.recv(100) == b"+OK\r\n"
        assert shardlab.ok("down") == "stopped 6 processes\n"
        # What was in the foreground has nothing left to show.
        assert up.wait(timeout=10) == 0
    wait_gone(shardlab.folder)
    assert shardlab.ok("down") == "nothing was running\n"

    assert "of another shape; use --fresh" in shardlab.refused("up", "--replicas", "2")
    shardlab.up_detached()
    assert rows(shardlab.ok("status"))["node-0"][-1] == "1"
    shardlab.ok("down")

    # A node that cannot start takes the others with it.
    (shardlab.folder / "node-4" / "nodes.conf").write_text("nonsense\n")
    line = shardlab.refused("up")
    assert line.startswith("shardlab: node-4 ended right after its start: ")
    assert "Unrecoverable error: corrupted cluster config file." in line
    wait_gone(shardlab.folder)

    shardlab.up_detached("--fresh")
    assert rows(shardlab.ok("status"))["node-0"][-1] == "0"
    shardlab.ok("down")
    wait_gone(shardlab.folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_starts_leaves_nothing(shardlab: Shardlab, number: signal.Signals) -> None:
    with shardlab.up_foreground("--detach") as up:
        wait_for(lambda: len(processes_in(shardlab.folder)) >= 4, what="the first processes")
        up.send_signal(number)
        out, err = up.communicate(timeout=20)
    assert (up.returncode, out, err) == (130, "stopped\n", "")
    wait_gone(shardlab.folder)


def test_not_ready_in_time_says_why_and_leaves_nothing(shardlab: Shardlab) -> None:
    line = shardlab.refused("up", "--timeout", "0.5")
    assert line.startswith("shardlab: not ready after 0.5 s: node-0 ")
    wait_gone(shardlab.folder)
