"""`lab.json`: what runs in a lab's folder, for every command and every tool that comes later.

It lists each process with all that is needed to reach it, to signal it and to start it again. It is
replaced whole, by rename, so that a reader never sees half of one. Commands that change what runs
take the folder's lock first; those that only look, or send one signal, do not.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.drivers.process import Identity, Life, life
from lab.errors import LabError
from lab.topology import Role, Seat, Topology

FILE_NAME = "lab.json"
LOCK_NAME = ".lock"


class Entry(BaseModel):
    """One process of the lab."""

    model_config = ConfigDict(extra="forbid")

    name: str
    role: Role
    host: str
    port: int
    bus_port: int | None
    # None until it has been started.
    pid: int | None = None
    # When the process began, in the kernel's clock ticks: with the pid it names one process for ever.
    pid_started: int | None = None
    folder: Path
    log: Path
    # What starts it again, in `folder`.
    command: list[str]
    # The folder with the certificates for its port; None when it speaks no TLS.
    tls: Path | None = None

    @classmethod
    def of(cls, seat: Seat, folder: Path, command: list[str], tls: Path | None = None) -> Entry:
        return cls(**seat.model_dump(), folder=folder, log=folder / f"{seat.name}.log", command=command, tls=tls)

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def identity(self) -> Identity | None:
        """The process that was started last, running or not."""
        if self.pid is None or self.pid_started is None:
            return None
        return Identity(self.pid, self.pid_started)

    @identity.setter
    def identity(self, identity: Identity) -> None:
        self.pid, self.pid_started = identity.pid, identity.started

    @property
    def life(self) -> Life:
        """Whether it runs, is stopped (SIGSTOP) or is dead, asked of the kernel now."""
        return life(self.identity) if self.identity else Life.DEAD


class Lab(BaseModel):
    """The file's content."""

    model_config = ConfigDict(extra="forbid")

    version: int = 1
    topology: Topology
    processes: list[Entry]

    def find(self, name: str) -> Entry:
        for entry in self.processes:
            if entry.name == name:
                return entry
        raise LabError(f"no process is called '{name}' here; there are: {', '.join(e.name for e in self.processes)}")

    def alive(self) -> list[Entry]:
        """Processes that run or are paused."""
        return [entry for entry in self.processes if entry.life is not Life.DEAD]

    def nodes(self) -> list[Entry]:
        return [entry for entry in self.processes if entry.role is Role.NODE]

    def save(self, folder: Path) -> None:
        temporary = folder / f"{FILE_NAME}.tmp-{os.getpid()}"
        temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        temporary.replace(folder / FILE_NAME)


def load(folder: Path) -> Lab | None:
    """The lab of that folder, or None when there is none; raises LabError when the file is damaged."""
    path = folder / FILE_NAME
    try:
        return Lab.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise LabError(f"{folder} is not a folder") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise LabError(f"{path} is damaged: {place + ': ' if place else ''}{first['msg']}") from None


def load_existing(folder: Path) -> Lab:
    lab = load(folder)
    if lab is None:
        raise LabError(f"no lab in {folder}; start one with: shardlab up --dir {folder}")
    return lab


def make_folder(folder: Path) -> None:
    """Make the lab's folder if it is missing; raises LabError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot use {folder}: {error.strerror}") from None


@contextmanager
def changing(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the folder against other commands that start or stop processes in it; raises LabError.

    While another one holds it, that is refused, or (`wait`) waited out: none takes longer than processes need to end.
    """
    try:
        fd = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (FileNotFoundError, NotADirectoryError):
        raise LabError(f"no lab in {folder}; start one with: shardlab up --dir {folder}") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"another shardlab command is starting or stopping processes in {folder}") from None
        yield
    finally:
        os.close(fd)
