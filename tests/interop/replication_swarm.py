"""A master with replicas of both kinds, real and ours, under random commands and mishaps; all end with equal data.

    python -m tests.interop.replication_swarm --seeds 20

Each seed starts two nodes of ours and two redis-servers in a random tree, and repeats: random commands of all types at
the master, in the middle of which links are cut, replicas stopped or killed and started again, moved to another master,
or promoted; then, with the commands at an end, every node must come to the same offset and the same DEBUG DIGEST.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import redis

from tests.interop.real_nodes import OURS, REDIS
from tests.interop.swarm_commands import commands
from tests.ports import free_base
from tests.waiting import wait_for

_OPTIONS = (
    *("--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes"),
    # Small, so that some links are resumed and some need a copy.
    *("--repl-backlog-size", "64kb", "--repl-timeout", "10", "--repl-ping-replica-period", "1"),
)
_COMMANDS_PER_ROUND = 300


class Member:
    """One process, and what it is told to follow."""

    def __init__(self, kind: tuple[str, ...], port: int, folder: Path, options: list[str]) -> None:
        self.name = f"{'ours' if kind is OURS else 'real'}:{port}"
        self.port = port
        self.folder = folder
        folder.mkdir()
        self._command = [*kind, "--port", str(port), "--dir", str(folder), "--logfile", str(folder / "log"), *options]
        self.client = redis.Redis(port=port, socket_timeout=30, protocol=2)
        self.client.response_callbacks.clear()
        self.start()

    def start(self, master: Member | None = None) -> None:
        more = [] if master is None else ["--replicaof", "127.0.0.1", str(master.port)]
        self._process = subprocess.Popen([*self._command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._answers, what=f"PONG of {self.name}")

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log
        try:
            return self.client.execute_command("PING") in (b"PONG", True)
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False

    def stop(self, number: signal.Signals) -> None:
        self.client.connection_pool.disconnect()
        self._process.send_signal(number)
        self._process.wait()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def ask(self, *words: str | bytes | int) -> Any:
        return self.client.execute_command(*words)

    def info(self, section: str = "replication") -> dict[str, str]:
        return dict(line.split(":", 1) for line in self.ask("INFO", section).decode().splitlines() if ":" in line)


class Swarm:
    """The members of one seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = Random(seed)
        base = free_base()
        kinds = [OURS, REDIS, OURS, REDIS]
        self.random.shuffle(kinds)
        self.told: list[str] = []
        diskless = [self.random.choice(["yes", "no"]) for _ in kinds]
        self.members = [
            Member(kind, base + at, folder / str(at), [*_OPTIONS, "--repl-diskless-sync", choice])
            for at, (kind, choice) in enumerate(zip(kinds, diskless, strict=True))
        ]
        self.master = self.members[0]
        # Whom each of the others follows.
        self.follows: dict[Member, Member] = {}
        for member in self.members[1:]:
            self.follow(member, self.random.choice([self.master, *self.follows]))

    def follow(self, member: Member, master: Member) -> None:
        self.told.append(f"{member.name} follows {master.name}")
        self.follows[member] = master
        member.ask("REPLICAOF", "127.0.0.1", master.port)

    def mishap(self) -> None:
        """Something happens to a replica, or to its link."""
        member = self.random.choice(list(self.follows))
        what = self.random.choice(["cut", "cut", "cut from above", "restart", "kill", "move", "promote", "failover"])
        self.told.append(f"{what}: {member.name}")
        match what:
            case "cut":
                member.ask("CLIENT", "KILL", "TYPE", "master")
            case "cut from above":
                self.follows[member].ask("CLIENT", "KILL", "TYPE", "replica")
            case "restart":
                member.stop(signal.SIGTERM)
                member.start(self.follows[member])
            case "kill":
                member.stop(signal.SIGKILL)
                member.start(self.follows[member])
            case "move":
                above = [other for other in self.members if other is not member and not self._below(other, member)]
                self.follow(member, self.random.choice(above))
            case "promote":
                # Nothing may be lost, or the old master would have what nobody else has. What hangs below either of the
                # two stays there.
                self.settle()
                member.ask("REPLICAOF", "NO", "ONE")
                old = self._enthrone(member)
                self.follow(old, member)
            case "failover":
                self.settle()
                if self.follows[member] is self.master:
                    self.master.ask("FAILOVER", "TO", "127.0.0.1", member.port, "TIMEOUT", 10000)
                    wait_for(lambda: member.info()["role"] == "master", what="the failover")
                    self.follows[self._enthrone(member)] = member

    def _below(self, member: Member, other: Member) -> bool:
        while member in self.follows:
            member = self.follows[member]
            if member is other:
                return True
        return False

    def _enthrone(self, member: Member) -> Member:
        """`member` is the master now; returns who was it before."""
        old, self.master = self.master, member
        del self.follows[member]
        return old

    def settle(self, timeout_s: float = 40.0) -> None:
        """Wait until all are equal; raises AssertionError."""
        self._wait_for_expiry()
        deadline = time.monotonic() + timeout_s
        while True:
            states = [member.info() for member in self.members]
            offsets = {state["master_repl_offset"] for state in states}
            links = [state.get("master_link_status", "up") for state in states]
            if links == ["up"] * len(links) and len(offsets) == 1:
                digests = {member.name: member.ask("DEBUG", "DIGEST") for member in self.members}
                if len(set(digests.values())) == 1:
                    return
                # A PING may have come between the questions.
            else:
                digests = {}
            assert time.monotonic() < deadline, self._report(states, digests)
            time.sleep(0.05)

    def _wait_for_expiry(self) -> None:
        """Until the master has deleted all that is to expire in this round: replicas show it until they are told."""
        wait_for(lambda: all(self._volatile_left(index) == 0 for index in (0, 1)), what="expiry")

    def _volatile_left(self, index: int) -> int:
        """Keys of the master with a short time to live."""
        left = 0
        client = redis.Redis(port=self.master.port, db=index)
        with client:
            for key in client.scan_iter(count=1000):
                left += 0 <= client.pttl(key) < 50_000
        return left

    def _report(self, states: list[dict[str, str]], digests: dict[str, bytes]) -> str:
        lines = [*self.told[-20:], f"digests: {digests}"]
        for member, state in zip(self.members, states, strict=True):
            lines.append(f"{member.name}: {state}")
        if digests:
            lines += self._differences()
        return "\n".join(lines)

    def _differences(self) -> list[str]:
        lines = []
        for index in (0, 1):
            clients = [redis.Redis(port=member.port, db=index) for member in self.members]
            keys = sorted({key for client in clients for key in client.scan_iter(count=1000)})
            for key in keys:
                seen = [client.execute_command("DEBUG", "DIGEST-VALUE", key) for client in clients]
                if len({str(digest) for digest in seen}) > 1:
                    lines.append(f"{key!r} in {index}: {[client.dump(key) for client in clients]}")
            for client in clients:
                client.close()
        return lines[:10]

    def round(self) -> None:
        mishaps = {self.random.randrange(_COMMANDS_PER_ROUND) for _ in range(2)}
        made = commands(self.random, _COMMANDS_PER_ROUND)
        for number, block in enumerate(made):
            if number in mishaps:
                self.mishap()
            with contextlib.suppress(redis.ResponseError):
                for words in block:
                    self.master.ask(*words)
        self.settle()

    def close(self) -> None:
        for member in self.members:
            member.client.close()
            member.stop(signal.SIGKILL)


@contextlib.contextmanager
def swarm(seed: int, folder: Path) -> Iterator[Swarm]:
    running = Swarm(seed, folder)
    try:
        yield running
    finally:
        running.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for seed in range(options.first, options.first + options.seeds):
        with tempfile.TemporaryDirectory() as folder, swarm(seed, Path(folder)) as running:
            for _ in range(options.rounds):
                running.round()
            full = sum(int(member.info("stats")["sync_full"]) for member in running.members)
            partial = sum(int(member.info("stats")["sync_partial_ok"]) for member in running.members)
            said = f"seed {seed}: equal after {options.rounds} rounds; copies {full}, resumed {partial}\n"
            sys.stdout.write(said)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
