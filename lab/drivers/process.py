"""Real processes of this machine: start, kill, pause, resume, stop.

A process is named by its pid and the moment it began. The kernel hands out a dead process' pid again,
so nothing here signals a pid before it has seen, through a pidfd that pins the process, that it is
still the one that was started. Rests on Linux (/proc, pidfd).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Life(StrEnum):
    """What the kernel says of a process."""

    RUNNING = "running"
    PAUSED = "paused"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for ever."""

    pid: int
    # Clock ticks from the machine's boot to the process' birth (proc(5), stat, field 22).
    started: int


# Children of this very process, kept until they have been reaped; those of an earlier command are init's.
_children: dict[int, subprocess.Popen[bytes]] = {}


def start(command: list[str], folder: Path, log: Path) -> Identity:
    """Start `command` in `folder`, away from the terminal, its output added to `log`; raises OSError.

    A session of its own keeps Ctrl-C, meant for `up`, from reaching it: `up` stops it in order.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    return identify(child.pid)


def identify(pid: int) -> Identity:
    """The process that has this pid now. Its parent must not have reaped it yet: then it cannot have vanished."""
    stat = _stat(pid)
    assert stat is not None
    return Identity(pid, stat[1])


def life(identity: Identity) -> Life:
    """Whether that process runs, is stopped, or is dead. A zombie is dead: it only waits to be reaped."""
    _reap(identity.pid)
    stat = _stat(identity.pid)
    if stat is None:
        return Life.DEAD
    state, started = stat
    if started != identity.started or state in "ZX":
        return Life.DEAD
    return Life.PAUSED if state in "Tt" else Life.RUNNING


def age() -> float:
    """Seconds since this very process began: what it cost to load the program counts too."""
    stat = _stat(os.getpid())
    assert stat is not None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - stat[1] / os.sysconf("SC_CLK_TCK")


def send(identity: Identity, number: signal.Signals) -> bool:
    """Send a signal to that process and no other; False when it is dead."""
    pidfd = _pin(identity)
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def kill(identity: Identity) -> bool:
    """SIGKILL, and wait until the kernel has closed its sockets; False when it was dead already."""
    struck = send(identity, signal.SIGKILL)
    if struck:
        wait_ends([identity], timeout=10)
    return struck


def pause(identity: Identity) -> bool:
    """SIGSTOP: the kernel still accepts connections and acknowledges data, but nothing is answered."""
    return send(identity, signal.SIGSTOP)


def resume(identity: Identity) -> bool:
    """SIGCONT: it wakes with full buffers and a clock that has jumped."""
    return send(identity, signal.SIGCONT)


def stop(identities: list[Identity], *, timeout: float) -> list[Identity]:
    """Ask all of them to end, all at once, and kill what is still there after `timeout` seconds; returns the killed."""
    for identity in identities:
        send(identity, signal.SIGTERM)
        # A stopped process gets the SIGTERM only when it goes on.
        send(identity, signal.SIGCONT)
    stubborn = wait_ends(identities, timeout=timeout)
    for identity in stubborn:
        send(identity, signal.SIGKILL)
    wait_ends(stubborn, timeout=10)
    return stubborn


def wait_ends(identities: list[Identity], *, timeout: float) -> list[Identity]:
    """Wait until all of them have ended, at most `timeout` seconds; returns those still alive."""
    deadline = time.monotonic() + timeout
    waiting: dict[int, Identity] = {}
    poll = select.poll()
    try:
        for identity in identities:
            pidfd = _pin(identity)
            if pidfd is not None:
                waiting[pidfd] = identity
                # A pidfd is readable once the process has ended, ours or not (pidfd_open(2)).
                poll.register(pidfd, select.POLLIN)
        while waiting and (left := deadline - time.monotonic()) > 0:
            for pidfd, _ in poll.poll(left * 1000):
                poll.unregister(pidfd)
                os.close(pidfd)
                _reap(waiting.pop(pidfd).pid)
        return list(waiting.values())
    finally:
        for pidfd in waiting:
            os.close(pidfd)


def _pin(identity: Identity) -> int | None:
    """A pidfd of that process, or None when it is dead. While it is open the pid cannot be given to another."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if life(identity) is Life.DEAD:
        os.close(pidfd)
        return None
    return pidfd


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time of a pid, or None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything, spaces and parentheses too; the fields begin after the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])
