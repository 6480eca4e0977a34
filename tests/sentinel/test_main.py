"""Starting and stopping the process: `shardlab sentinel FILE`, `shardlab server FILE --sentinel`."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_base
from tests.sentinel.running import OURS, Process
from tests.waiting import wait_for


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab", *arguments], cwd=cwd, capture_output=True, text=True, timeout=20, check=False
    )


def test_no_file(tmp_path: Path) -> None:
    done = run("sentinel", cwd=tmp_path)
    assert done.returncode == 1
    assert "Sentinel needs config file on disk to save state. Exiting..." in done.stdout


def test_help_and_version(tmp_path: Path) -> None:
    done = run("sentinel", "--help", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Usage: shardlab sentinel FILE ")
    done = run("server", "--version", "--sentinel", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Redis server v=7.0.15 ")


def test_a_missing_file(tmp_path: Path) -> None:
    done = run("sentinel", "nosuch.conf", cwd=tmp_path)
    assert done.returncode == 1
    assert "Fatal error, can't open config file" in done.stdout
    assert "nosuch.conf': No such file or directory" in done.stdout


def test_a_bad_line(tmp_path: Path) -> None:
    (tmp_path / "sentinel.conf").write_text("port 26379\nsentinel monitor x\n")
    done = run("server", "sentinel.conf", "--sentinel", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 2\n"
        ">>> 'sentinel monitor x'\nUnrecognized sentinel configuration statement.\n"
    )


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "sentinel.conf").write_text(f"port {port}\nbind 127.0.0.1\n")
        done = run("sentinel", "sentinel.conf", cwd=tmp_path)
    assert done.returncode == 1
    assert f"Could not create server TCP listening socket 127.0.0.1:{port}: bind: Address already in use" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("program", [OURS, (sys.executable, "-m", "lab", "server")])
def test_it_stops_when_told(program: tuple[str, ...], tmp_path: Path) -> None:
    """SIGTERM ends it with 0; the log is Redis', the identity is kept, directives of the command line count."""
    port = free_base()
    (tmp_path / "sentinel.conf").write_text("port 1\nbind 127.0.0.1\n")
    more = ["--sentinel"] if program[-1] == "server" else []
    process = Process(port, tmp_path, [*program, "sentinel.conf", "--port", str(port), *more])
    try:
        wait_for(process.answers)
        my_id = process.client.execute_command("SENTINEL MYID")
        assert process.terminate() == 0
        for words in ("Running mode=sentinel", "Sentinel ID is " + my_id, "Received SIGTERM scheduling shutdown..."):
            assert words in process.log
        assert process.log.rstrip().endswith("Sentinel is now ready to exit, bye bye...")
        process.start()
        wait_for(process.answers)
        assert process.client.execute_command("SENTINEL MYID") == my_id
    finally:
        process.close()


def test_it_goes_to_its_folder_and_its_log(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    port = free_base()
    conf = f'port {port}\nbind 127.0.0.1\ndir "away"\nlogfile "sentinel.log"\nloglevel warning\n'
    (tmp_path / "sentinel.conf").write_text(conf)
    process = Process(port, tmp_path, [*OURS, "sentinel.conf"])
    try:
        wait_for(process.answers)
        log = (tmp_path / "away" / "sentinel.log").read_text()
        assert "Sentinel ID is" in log
        assert "Running mode" not in log
        # The configuration stays where it was read from.
        assert "sentinel myid" in (tmp_path / "sentinel.conf").read_text()
    finally:
        process.close()
