"""Kill a node again and again while clients write, and look whether anything they were told is safe is missing.

Run by hand for longer than in CI:

    python -m tests.node.persistence.aof.crashes --kills 200
    python -m tests.node.persistence.aof.crashes --kills 200 --policy everysec

The node is a process of its own, forked from this one so that it starts quickly, and killed with SIGKILL at a random
moment: in the middle of a batch, of a rewrite, of its own start. What a killed process has written the kernel keeps, so
this is about order (the log before the reply) and about files in every intermediate state; what a disk loses with its
power is simulated (`tests/sim/test_append_only.py`). With `everysec` a write waits here while a sync takes long, two
seconds at most: how old the oldest one was that had been acknowledged and is missing is measured, and bounded by that.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import hiredis

from node.main import serve
from node.settings import NodeSettings
from runtime import process
from runtime.log import file_writer
from runtime.runtime import system_runtime
from tests.node.raw_client import RawClient, bulk_strings
from tests.ports import free_base
from wire.encoder import encode_command

CLIENTS = 8
BATCH_MAX = 10
# How long a node lives, in seconds.
LIFE_S = (0.0, 0.25)
START_S = 30.0
# With `everysec`: how old an acknowledged write that is lost may be; Redis puts writes off no longer than two seconds.
LOSS_MAX_S = {"always": 0.0, "everysec": 2.2}


class Losses:
    """What was acknowledged and is missing after a kill."""

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.killed_at = 0.0
        # How many, and how long before the kill the oldest one was acknowledged.
        self.lost = 0
        self.oldest_s = 0.0

    def note(self, acknowledged_at: list[float]) -> bool:
        """Take note of these times; False when there may be no such loss."""
        self.lost += len(acknowledged_at)
        age_s = self.killed_at - acknowledged_at[0]
        self.oldest_s = max(self.oldest_s, age_s)
        return age_s <= LOSS_MAX_S[self.policy]


class Writer:
    """One client, and what it knows: what it sent, and how much of that was acknowledged."""

    def __init__(self, number: int, chance: Random, losses: Losses) -> None:
        self._number = number
        self._losses = losses
        self._chance = chance
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()
        # What was sent and has had no reply: how to note it when it has.
        self._unanswered: list[str] = []
        # How many of each kind were sent, and when which were acknowledged: those of one kind in their order. Sent ones
        # without a reply may have happened or not.
        self.sent = dict.fromkeys(("key", "count", "item", "pair"), 0)
        self.acknowledged_at: dict[str, list[float]] = {kind: [] for kind in self.sent}

    @property
    def acknowledged(self) -> int:
        """How many writes, of all kinds."""
        return sum(map(len, self.acknowledged_at.values()))

    def connect(self, port: int) -> socket.socket:
        # What became of the last connection's unanswered commands is known by now: the ledger was settled.
        self._reader = hiredis.Reader()
        self._unanswered.clear()
        self._socket = socket.create_connection(("127.0.0.1", port))
        return self._socket

    def write(self) -> None:
        """Send some commands at once."""
        assert self._socket is not None
        data = b""
        for _ in range(self._chance.randint(1, BATCH_MAX)):
            kind = self._chance.choice(list(self.sent))
            at = self.sent[kind]
            self.sent[kind] += 1
            data += self._request(kind, at)
            self._unanswered += {"pair": ["", "", "", kind]}.get(kind, [kind])
        self._socket.sendall(data)

    def _request(self, kind: str, at: int) -> bytes:
        name = b"%d:%d" % (self._number, at)
        if kind == "key":
            return encode_command([b"SET", b"key:" + name, b"value " * (at % 50) + name])
        if kind == "count":
            return encode_command([b"INCR", b"count:%d" % self._number])
        if kind == "item":
            return encode_command([b"RPUSH", b"items:%d" % self._number, name])
        words = [[b"MULTI"], [b"SET", b"left:" + name, name], [b"SET", b"right:" + name, name], [b"EXEC"]]
        return b"".join(map(encode_command, words))

    def read(self) -> bool:
        """Take what has come; False when the connection is gone."""
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:
            return False
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            assert not isinstance(reply, hiredis.ReplyError), reply
            kind = self._unanswered.pop(0)
            if kind:
                self.acknowledged_at[kind].append(time.monotonic())
        if data and not self._unanswered:
            self.write()
        return bool(data)

    def hang_up(self) -> None:
        """The node is dead; what it has sent may still be on its way."""
        assert self._socket is not None
        writing, self.write = self.write, lambda: None  # type: ignore[method-assign]
        while self.read():
            pass
        self.write = writing  # type: ignore[method-assign]
        self._socket.close()

    def settle(self, client: RawClient) -> list[str]:
        """What of all that was acknowledged is missing, or was torn apart; the rest is known from now on."""
        problems = []
        count = int(_text(client.ask("GET", b"count:%d" % self._number)) or b"0")
        items = bulk_strings(client.ask("LRANGE", b"items:%d" % self._number, "0", "-1"))
        there = {
            "count": count,
            "item": len(items),
            "key": self._present(client, b"key"),
            "pair": self._present(client, b"left"),
        }
        if items != [b"%d:%d" % (self._number, at) for at in range(len(items))]:
            problems.append(f"client {self._number}: its list is not what it pushed")
        if self._present(client, b"right") != there["pair"]:
            problems.append(f"client {self._number}: half a transaction")
        for kind, number in there.items():
            times = self.acknowledged_at[kind]
            if number > self.sent[kind] or (number < len(times) and not self._losses.note(times[number:])):
                told = f"{len(times)} acknowledged, {self.sent[kind]} sent"
                problems.append(f"client {self._number}: {number} of {kind}, but {told}")
            self.sent[kind] = number
            # What has been found safe is as old as can be.
            times[number:] = []
            times += [0.0] * (number - len(times))
        return problems

    def _present(self, client: RawClient, prefix: bytes) -> int:
        """How many of the keys are there, one after another; commands of one client happen in their order."""
        kind = "key" if prefix == b"key" else "pair"
        if not self.sent[kind]:
            return 0
        names = [b"%b:%d:%d" % (prefix, self._number, at) for at in range(self.sent[kind])]
        replies = client.ask_all([("STRLEN", name) for name in names])
        lengths = [int(reply[1:-2]) for reply in replies]
        present = sum(map(bool, lengths))
        assert all(lengths[:present]), f"client {self._number}: a hole among its keys"
        return present


def _text(reply: bytes) -> bytes:
    return b"" if reply == b"$-1\r\n" else reply.split(b"\r\n")[1]


def start(folder: Path, port: int, policy: str) -> int:
    """Fork a node; returns its process id."""
    pid = os.fork()
    if pid == 0:
        _be_a_node(folder, port, policy)
    return pid


def _be_a_node(folder: Path, port: int, policy: str) -> NoReturn:
    status = 1
    # The children that it leaves behind when it is killed can be found by this.
    os.setpgid(0, 0)
    try:
        os.closerange(3, 1024)
        settings = NodeSettings(
            port=port,
            bind=["127.0.0.1"],
            dir=str(folder),
            save=[],
            databases=1,
            appendonly=True,
            appendfsync=policy,
            auto_aof_rewrite_min_size=100_000,
            hz=100,
        )
        runtime = system_runtime()
        runtime.log.redirect(file_writer(str(folder / "log")))
        with asyncio.Runner(loop_factory=process.make_loop) as runner:
            status = runner.run(serve(settings, runtime, "", lambda _: None))
    finally:
        os._exit(status)


def wait_ready(port: int, pid: int) -> RawClient:
    """A client, as soon as the node serves."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        assert not ended, f"the node refused to start: status {status}"
        try:
            client = RawClient(port)
        except OSError:
            time.sleep(0.002)
            continue
        if client.ask("PING") == b"+PONG\r\n":
            return client
        client.close()
    raise AssertionError("the node did not start in time")


def one_life(port: int, pid: int, writers: list[Writer], chance: Random) -> float:
    """Let the clients write until the node is killed; returns when that was."""
    by_socket: dict[Any, Writer] = {writer.connect(port): writer for writer in writers}
    for writer in writers:
        writer.write()
    deadline = time.monotonic() + chance.uniform(*LIFE_S)
    while (left := deadline - time.monotonic()) > 0:
        for ready in select.select(list(by_socket), [], [], left)[0]:
            assert by_socket[ready].read(), "the node hung up"
    os.kill(pid, signal.SIGKILL)
    killed_at = time.monotonic()
    os.waitpid(pid, 0)
    for writer in writers:
        writer.hang_up()
    return killed_at


def run(kills: int, seed: int, folder: Path, losses: Losses) -> tuple[list[str], int]:
    """What went wrong, and how many writes were acknowledged; losses that may be are noted in `losses`."""
    chance = Random(seed)
    port = free_base()
    writers = [Writer(number, Random(f"{seed} {number}"), losses) for number in range(CLIENTS)]
    problems: list[str] = []
    acknowledged = 0
    pids = []
    for _ in range(kills):
        pid = start(folder, port, losses.policy)
        pids.append(pid)
        if chance.random() < 0.1:
            # Killed at its start.
            time.sleep(chance.uniform(0, 0.05))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pid = start(folder, port, losses.policy)
            pids.append(pid)
        client = wait_ready(port, pid)
        for writer in writers:
            problems += writer.settle(client)
        if chance.random() < 0.5:
            client.send(encode_command([b"BGREWRITEAOF"]))
        before = sum(writer.acknowledged for writer in writers)
        losses.killed_at = one_life(port, pid, writers, chance)
        acknowledged += sum(writer.acknowledged for writer in writers) - before
        client.close()
    pid = start(folder, port, losses.policy)
    pids.append(pid)
    client = wait_ready(port, pid)
    for writer in writers:
        problems += writer.settle(client)
    client.close()
    for started in pids:
        with suppress(ProcessLookupError):
            os.killpg(started, signal.SIGKILL)
    os.waitpid(pid, 0)
    return problems, acknowledged


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--policy", choices=list(LOSS_MAX_S), default="always")
    arguments = parser.parse_args()
    losses = Losses(arguments.policy)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        problems, acknowledged = run(arguments.kills, arguments.seed, Path(name), losses)
        rewrites = (Path(name) / "log").read_text().count("Background AOF rewrite finished successfully")
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    sys.stdout.write(
        f"{arguments.kills} kills, {acknowledged} writes acknowledged, {rewrites} rewrites, {len(problems)} problems\n"
        f"{losses.lost} acknowledged writes lost, the oldest {losses.oldest_s * 1000:.0f} ms before its kill\n"
    )
    return 1 if problems or not acknowledged else 0


if __name__ == "__main__":
    sys.exit(main())
