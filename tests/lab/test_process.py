from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.drivers import process
from lab.drivers.process import Identity, Life
from tests.waiting import wait_for

Start = Callable[..., Identity]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Python one-liner; it is dead when the test ends."""
    started: list[Identity] = []

    def run(code: str) -> Identity:
        identity = process.start([sys.executable, "-c", code], tmp_path, tmp_path / "log")
        started.append(identity)
        return identity

    yield run
    for identity in started:
        process.kill(identity)


SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def said_up(folder: Path) -> None:
    wait_for(lambda: "up" in (folder / "log").read_text(), what="the process' first word")


def test_a_started_process_runs_in_its_folder_and_session(start: Start, tmp_path: Path) -> None:
    identity = start(
        "import os; print('up', os.getcwd(), os.getsid(0) == os.getpid(), flush=True); import time; time.sleep(60)"
    )
    said_up(tmp_path)
    assert process.life(identity) is Life.RUNNING
    assert (tmp_path / "log").read_text() == f"up {tmp_path} True\n"


def test_what_cannot_be_started_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        process.start([str(tmp_path / "no-such-program")], tmp_path, tmp_path / "log")


def test_kill(start: Start) -> None:
    identity = start(SLEEPER)
    assert process.kill(identity)
    assert process.life(identity) is Life.DEAD
    assert not process.kill(identity)


def test_pause_and_resume(start: Start) -> None:
    identity = start(SLEEPER)
    assert process.pause(identity)
    wait_for(lambda: process.life(identity) is Life.PAUSED)
    assert process.resume(identity)
    wait_for(lambda: process.life(identity) is Life.RUNNING)


def test_a_process_that_ended_by_itself_is_dead(start: Start) -> None:
    identity = start("pass")
    wait_for(lambda: process.life(identity) is Life.DEAD)


def test_a_zombie_is_dead(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    # Seen by another command's eyes: the child is not its own and it cannot reap it.
    identity = start("pass")
    with monkeypatch.context() as patch:
        patch.setattr(process, "_children", {})
        wait_for(lambda: Path(f"/proc/{identity.pid}/stat").read_text().split()[2] == "Z")
        assert process.life(identity) is Life.DEAD


def test_stop_ends_the_willing_and_kills_the_stubborn(start: Start, tmp_path: Path) -> None:
    stubborn = start(STUBBORN)
    said_up(tmp_path)
    willing = start(SLEEPER)
    assert process.stop([willing, stubborn], timeout=0.5) == [stubborn]
    assert [process.life(one) for one in (willing, stubborn)] == [Life.DEAD, Life.DEAD]


def test_stop_ends_the_paused(start: Start) -> None:
    identity = start(SLEEPER)
    process.pause(identity)
    assert process.stop([identity], timeout=5) == []
    assert process.life(identity) is Life.DEAD


def test_a_pid_that_was_given_to_another_process_is_left_alone(start: Start) -> None:
    identity = start(SLEEPER)
    predecessor = Identity(identity.pid, identity.started - 1)
    assert process.life(predecessor) is Life.DEAD
    assert not process.kill(predecessor)
    assert not process.pause(predecessor)
    assert process.stop([predecessor], timeout=5) == []
    assert process.life(identity) is Life.RUNNING


def test_wait_ends_tells_who_is_left(start: Start) -> None:
    staying, leaving = start(SLEEPER), start("pass")
    assert process.wait_ends([leaving, staying], timeout=0.5) == [staying]


def test_no_descriptor_is_left_open(start: Start) -> None:
    before = len(os.listdir("/proc/self/fd"))
    identity = start(SLEEPER)
    process.send(identity, signal.SIGCONT)
    process.wait_ends([identity], timeout=0)
    process.kill(identity)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_name_with_blanks_and_parentheses_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "a) S (b"
    program.symlink_to("/bin/sleep")
    identity = process.start([str(program), "60"], tmp_path, tmp_path / "log")
    try:
        wait_for(lambda: process.life(identity) is Life.RUNNING)
    finally:
        process.kill(identity)
