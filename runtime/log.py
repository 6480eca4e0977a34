"""The log, in redis-server's line format, so that tools and eyes that know Redis feel at home.

``<pid>:<role> <day> <month> <year> <h>:<m>:<s>.<ms> <sign> <text>`` where role is M (master),
S (replica), X (sentinel), C (child or not yet serving) or P (proxy, ours), and sign is one of ``.-*#``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from typing import TextIO

from runtime.clock import Clock

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Level(IntEnum):
    """Severity; the values order, the signs are Redis'."""

    DEBUG = 0
    VERBOSE = 1
    NOTICE = 2
    WARNING = 3
    # Of no line: a log at this level stays empty.
    NOTHING = 4


_SIGNS = {Level.DEBUG: ".", Level.VERBOSE: "-", Level.NOTICE: "*", Level.WARNING: "#"}


class Log:
    """Writes lines at or above a level to one sink."""

    __slots__ = ("_clock", "_write", "level", "pid", "role")

    def __init__(self, clock: Clock, write: Callable[[str], None], *, pid: int, role: str = "C") -> None:
        self._clock = clock
        self._write = write
        # What lines begin with; a forked child puts its own here.
        self.pid = pid
        # The letter after the pid: it follows the process through promotion and demotion.
        self.role = role
        # Lines below this are dropped (`loglevel`).
        self.level = Level.NOTICE

    def debug(self, text: str) -> None:
        self.line(Level.DEBUG, text)

    def verbose(self, text: str) -> None:
        self.line(Level.VERBOSE, text)

    def notice(self, text: str) -> None:
        self.line(Level.NOTICE, text)

    def warning(self, text: str) -> None:
        self.line(Level.WARNING, text)

    def line(self, level: Level, text: str) -> None:
        """Write `text` as one line if `level` is wanted."""
        if level < self.level:
            return
        now_ms = self._clock.wall_ms()
        moment = time.localtime(now_ms / 1000)
        stamp = (
            f"{moment.tm_mday:02d} {_MONTHS[moment.tm_mon - 1]} {moment.tm_year} "
            f"{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}.{now_ms % 1000:03d}"
        )
        self._write(f"{self.pid}:{self.role} {stamp} {_SIGNS[level]} {text}\n")

    def block(self, text: str) -> None:
        """Write `text` as it is, at the level of notices."""
        if self.level <= Level.NOTICE:
            self._write(text)

    def redirect(self, write: Callable[[str], None]) -> None:
        """Send later lines to another sink (`logfile`)."""
        self._write = write


def stream_writer(stream: TextIO) -> Callable[[str], None]:
    """A sink that writes to an open text stream and flushes after each line."""

    def write(line: str) -> None:
        with _unless_it_fails():
            stream.write(line)
            stream.flush()

    return write


def file_writer(path: str) -> Callable[[str], None]:
    """A sink that opens `path` for each line, as Redis does, so that log rotation needs no signal."""

    def write(line: str) -> None:
        with _unless_it_fails(), open(path, "a", encoding="utf-8", errors="replace") as file:
            file.write(line)

    # Fail at start-up, with the operating system's reason, and not at the first line.
    with open(path, "a", encoding="utf-8"):
        pass
    return write


def _unless_it_fails() -> contextlib.AbstractContextManager[None]:
    """A line that cannot be written (a full disk, a folder or a reader that is gone) is lost, as with Redis: whoever
    has something to say is in the middle of something that must go on, a failover or a shutdown."""
    return contextlib.suppress(OSError)


def stdout_log(clock: Clock) -> Log:
    """The log of a process that has not yet read its `logfile` setting."""
    return Log(clock, stream_writer(sys.stdout), pid=os.getpid())
