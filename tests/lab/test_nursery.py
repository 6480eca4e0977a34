from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.drivers import process
from lab.drivers.nursery import Nursery
from lab.drivers.process import Life
from tests.ports import free_base
from tests.waiting import wait_for


def log_says(folder: Path, text: str) -> None:
    wait_for(lambda: (folder / "log").exists() and text in (folder / "log").read_text(), what=f"'{text}' in the log")


def test_a_child_becomes_the_program_and_outlives_the_nursery(tmp_path: Path) -> None:
    with Nursery() as nursery:
        pid = nursery.start(["server", "--port", str(free_base()), "--save", ""], tmp_path, tmp_path / "log")
        child = process.identify(pid)
    try:
        log_says(tmp_path, "Ready to accept connections")
        assert os.readlink(f"/proc/{pid}/cwd") == str(tmp_path)
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"shardlab server *:")
        assert process.life(child) is Life.RUNNING
        # Nothing of the nursery's is left open in it: its pipes would keep `up` waiting for their end.
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        assert os.readlink(f"/proc/{pid}/fd/1") == str(tmp_path / "log")
    finally:
        assert process.kill(child)


def test_two_children_do_not_share_their_chance(tmp_path: Path) -> None:
    ids = []
    base = free_base()
    with Nursery() as nursery:
        for number in range(2):
            home = tmp_path / str(number)
            home.mkdir()
            options = ["--port", str(base + number), "--cluster-enabled", "yes", "--save", ""]
            child = process.identify(nursery.start(["server", *options], home, home / "log"))
            log_says(home, "Ready to accept connections")
            assert process.kill(child)
            ids.append((home / "nodes.conf").read_text().split()[0])
    assert ids[0] != ids[1]


def test_a_program_that_refuses_to_start_says_why_in_its_log(tmp_path: Path) -> None:
    with Nursery() as nursery:
        child = process.identify(nursery.start(["server", "--no-such-directive", "1"], tmp_path, tmp_path / "log"))
        wait_for(lambda: process.life(child) is Life.DEAD)
    assert "FATAL CONFIG FILE ERROR" in (tmp_path / "log").read_text()


def test_a_folder_that_is_not_there_ends_the_child_and_not_the_nursery(tmp_path: Path) -> None:
    with Nursery() as nursery:
        lost = process.identify(nursery.start(["server"], tmp_path / "nowhere", tmp_path / "log"))
        wait_for(lambda: process.life(lost) is Life.DEAD)
        child = process.identify(nursery.start(["server", "--version"], tmp_path, tmp_path / "log"))
        wait_for(lambda: process.life(child) is Life.DEAD)
    assert "Redis server v=" in (tmp_path / "log").read_text()


def test_a_nursery_that_has_ended_says_so(tmp_path: Path) -> None:
    with Nursery() as nursery:
        nursery._process.kill()
        nursery._process.wait()
        with pytest.raises(OSError, match=r"nursery ended|Broken pipe"):
            nursery.start(["server"], tmp_path, tmp_path / "log")


# Orders a server and is killed, with the order alone in the pipe or while the child's pid is being noted.
KILLED = """
import os, signal, sys
from pathlib import Path
from lab.drivers.nursery import Nursery
home = Path(sys.argv[1])
nursery = Nursery()
def end(pid):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "ordering":
    tell = nursery._tell
    nursery._tell = lambda line: (tell(line), end(0))
nursery.start(["server", "--port", "0"], home, home / "log", end)
"""


@pytest.mark.parametrize("moment", ["ordering", "noting"])
def test_nothing_runs_that_nobody_could_note(tmp_path: Path, moment: str) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), moment]
    up = subprocess.run(command, stderr=subprocess.PIPE, timeout=20, check=False)
    # Killed; and the pipe has ended, so nursery and child, who had it from their parent, have ended, or have a log.
    assert (up.returncode, up.stderr) == (-signal.SIGKILL, b"")
    assert not (tmp_path / "log").exists()


def test_what_cannot_be_noted_does_not_run(tmp_path: Path) -> None:
    def refuse(pid: int) -> None:
        children.append(process.identify(pid))
        raise OSError(28, "No space left on device")

    children: list[process.Identity] = []
    with Nursery() as nursery:
        with pytest.raises(OSError, match="No space left"):
            nursery.start(["server", "--port", "0"], tmp_path, tmp_path / "log", refuse)
        wait_for(lambda: process.life(children[0]) is Life.DEAD)
        other = process.identify(nursery.start(["server", "--version"], tmp_path, tmp_path / "other"))
        wait_for(lambda: process.life(other) is Life.DEAD)
    assert not (tmp_path / "log").exists()
    assert "Redis server v=" in (tmp_path / "other").read_text()
