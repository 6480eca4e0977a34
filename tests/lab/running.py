"""The command line, run as a person runs it: a process of its own, in a folder of the test's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from lab.lab_file import Lab, load_existing
from tests.ports import free_base
from tests.waiting import wait_for

# Real redis-server nodes that elect among themselves: all of lab's ways without any of our own servers.
REDIS_ENGINE = ("--engine", "redis", "--failover", "cluster", "--no-proxy")


class Shardlab:
    """One lab's folder, and the commands on it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.base = free_base()
        self._options = ["--port-base", str(self.base), *options]

    def run(self, command: str, *words: str, timeout: float = 40) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._argv(command, *words), capture_output=True, text=True, check=False, timeout=timeout)

    def ok(self, command: str, *words: str) -> str:
        """Run a command that must succeed; returns what it said."""
        result = self.run(command, *words)
        assert result.returncode == 0, result.stderr + self.logs()
        assert result.stderr == ""
        return result.stdout

    def refused(self, command: str, *words: str, status: int = 1) -> str:
        """Run a command that must fail with one clear line; returns the line."""
        result = self.run(command, *words)
        assert result.returncode == status, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        return lines[0]

    def up_detached(self, *words: str) -> str:
        return self.ok("up", "--detach", *words)

    def up_foreground(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self._argv("up", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @property
    def lab(self) -> Lab:
        return load_existing(self.folder)

    def run_check(self, file: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """The judgement of a history, by the command."""
        argv = [sys.executable, "-m", "lab", "check", str(file), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    def alive(self) -> list[str]:
        return [entry.name for entry in self.lab.alive()]

    def logs(self) -> str:
        """The end of every process' log, for the message of a test that failed."""
        ends = [f"--- {path.name}\n{path.read_text()[-1500:]}" for path in sorted(self.folder.glob("*/*.log"))]
        return "\n".join(ends)

    def _argv(self, command: str, *words: str) -> list[str]:
        options = self._options if command == "up" else []
        return [sys.executable, "-m", "lab", command, "--dir", str(self.folder), *options, *words]


AnyShardlab = TypeVar("AnyShardlab", bound=Shardlab)


@contextmanager
def taken_down(shardlab: AnyShardlab) -> Iterator[AnyShardlab]:
    """Whatever the test did, nothing of it is left running."""
    try:
        yield shardlab
    finally:
        if (shardlab.folder / "lab.json").exists():
            for entry in json.loads((shardlab.folder / "lab.json").read_text())["processes"]:
                if entry["pid"] and is_ours(entry["pid"], shardlab.folder):
                    os.kill(entry["pid"], signal.SIGKILL)


def is_ours(pid: int, folder: Path) -> bool:
    """Does that pid run in the lab's folder? Asked of the kernel and not of the code under test."""
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(folder.resolve())
    except OSError:
        return False


def processes_in(folder: Path) -> list[int]:
    """Every process of this machine that runs in the lab's folder."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and is_ours(int(name), folder)]


def wait_gone(folder: Path) -> None:
    wait_for(lambda: not processes_in(folder), what=f"the end of all processes in {folder}")
