"""Masters die and freeze, slots move, and the proxy's clients hardly notice."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from tests.proxy.proxy_process import ProxyProcess
from tests.proxy.raw_client import raw_client
from tests.proxy.real_cluster import RealCluster
from tests.waiting import wait_for

# A key of each third of the slots.
KEYS = ("a", "b", "c")


@pytest.fixture
def broken_later(cluster: RealCluster) -> Iterator[RealCluster]:
    """The cluster, to be broken; it is healed afterwards."""
    yield cluster
    cluster.heal()


class Writer:
    """Increments counters one after the other and keeps count of what was acknowledged."""

    def __init__(self, proxy: ProxyProcess) -> None:
        self._proxy = proxy
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged = dict.fromkeys(KEYS, 0)
        self.refused: list[str] = []
        self.unknown: list[str] = []
        # The longest time that a request took.
        self.longest_s = 0.0

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def progress(self) -> int:
        return min(self.acknowledged.values())

    def _run(self) -> None:
        with self._proxy.client() as client:
            while not self._stop.is_set():
                for key in KEYS:
                    begun = time.monotonic()
                    try:
                        client.incr(key)
                    except redis.ResponseError as error:
                        (self.unknown if str(error).startswith("UNKNOWN") else self.refused).append(str(error))
                    else:
                        self.acknowledged[key] += 1
                    self.longest_s = max(self.longest_s, time.monotonic() - begun)


def test_killed_master(proxy: ProxyProcess, broken_later: RealCluster) -> None:
    """Requests wait for the new master. At most one write was on its way to the old one: its fate is unknown."""
    victim = broken_later.owner("b")
    with Writer(proxy) as writer:
        wait_for(lambda: writer.progress() > 100, what="writes")
        victim.kill()
        before = writer.acknowledged["b"]
        wait_for(lambda: writer.acknowledged["b"] > before + 100, what="writes after the failover")
    assert not writer.refused
    assert len(writer.unknown) <= 1, writer.unknown
    assert all("may or may not have been executed" in error for error in writer.unknown)
    with proxy.client() as client:
        for key in "ac":
            assert client.get(key) == b"%d" % writer.acknowledged[key]
        # Replication is asynchronous: what the master acknowledged in its last moments may be lost with it.
        count = int(client.get("b") or 0)
        assert writer.acknowledged["b"] - 100 <= count <= writer.acknowledged["b"] + len(writer.unknown)


def test_frozen_master(proxy: ProxyProcess, broken_later: RealCluster) -> None:
    """It holds its connections and says nothing. Once the others have replaced it, the proxy gives them up."""
    victim = broken_later.owner("b")
    with Writer(proxy) as writer:
        wait_for(lambda: writer.progress() > 100, what="writes")
        victim.pause()
        before = writer.acknowledged["b"]
        wait_for(lambda: writer.acknowledged["b"] > before + 100, what="writes after the failover")
        victim.resume()
    assert not writer.refused
    assert len(writer.unknown) == 1, writer.unknown


def test_reads_are_repeated_and_writes_are_not(proxy: ProxyProcess, broken_later: RealCluster) -> None:
    """Both were sent to a node that died before it answered."""
    broken_later.needs("BLPOP")
    victim = broken_later.owner("b")
    with raw_client(proxy.port) as reader, raw_client(proxy.port) as writer, raw_client(proxy.port) as popper:
        reader.says("SET b 1", b"+OK\r\n")
        writer.says("GET b", b"$1\r\n1\r\n")
        with victim.client() as direct:
            assert direct.wait(1, 5000) == 1
        popper.send("BLPOP {b}queue 0")
        with victim.client() as direct:
            wait_for(lambda: direct.info("clients")["blocked_clients"] == 1, what="the pop waits")
        victim.pause()
        reader.send("GET b")
        writer.send("INCR b")
        victim.kill()
        assert reader.read() == b"$1\r\n1\r\n"
        assert writer.read().startswith(b"-UNKNOWN the connection to ")
        assert popper.read().startswith(b"-UNKNOWN the connection to ")


def test_deadline_of_a_request_that_nobody_can_serve(cluster: RealCluster) -> None:
    """With every node gone, each request ends at its deadline, in order, and says that it was not executed."""
    nowhere = "127.0.0.1:1"
    with (
        ProxyProcess(cluster.port + 201, ["--nodes", nowhere, "--hold-timeout-ms", "300"]) as proxy,
        raw_client(proxy.port) as client,
    ):
        client.send("SET a 1\r\nPING\r\nMGET a b\r\nMULTI\r\nGET a\r\nEXEC\r\nBLPOP q 0\r\nSUBSCRIBE x\r\nPING")
        replies = [client.read() for _ in range(9)]
        refused = [reply for reply in replies if reply.startswith(b"-CLUSTERDOWN not ")]
        assert [reply for reply in replies if reply not in refused] == [
            b"+PONG\r\n",
            b"+OK\r\n",
            b"+QUEUED\r\n",
            b"+PONG\r\n",
        ]
        assert len(refused) == 5
        assert b"127.0.0.1:1: " in refused[0]


def test_slots_move_under_load(proxy: ProxyProcess, broken_later: RealCluster) -> None:
    """MOVED, ASK and TRYAGAIN stay between the proxy and the nodes."""
    broken_later.needs("MIGRATE")
    source = broken_later.owner("b")
    target = next(node for node in broken_later.masters() if node is not source)
    ids = {}
    for node in (source, target):
        with node.client() as client:
            ids[node.port] = client.cluster("MYID").decode()

    def reshard(origin: int, goal: int, slots: int) -> None:
        # The nodes tell each other of the last move before redis-cli consents to another.
        check = ["redis-cli", "--cluster", "check", f"127.0.0.1:{origin}"]
        wait_for(lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0, what="agreement")
        words = f"--cluster-from {ids[origin]} --cluster-to {ids[goal]} --cluster-slots {slots} --cluster-yes"
        command = ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{origin}", *words.split()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    with proxy.client() as client, source.client() as direct:
        names = [f"{{b}}{i}" for i in range(300)]
        client.mset(dict.fromkeys(names, "v" * 1000))
        slot = int(direct.cluster("KEYSLOT", "b"))
        with Writer(proxy) as writer:
            # The slot in the state that a slow move would leave it in for long: half of its keys here, half there.
            with target.client() as other:
                other.cluster("SETSLOT", slot, "IMPORTING", ids[source.port])
                direct.cluster("SETSLOT", slot, "MIGRATING", ids[target.port])
                direct.migrate("127.0.0.1", target.port, names[:150], 0, 5000)
                assert [client.get(name) for name in names] == [b"v" * 1000] * 300
                client.set("{b}new", "1")
                assert other.execute_command("ASKING")
                assert other.exists("{b}new") == 1
                pipe = client.pipeline()
                pipe.get(names[0])
                pipe.append(names[0], "v")
                assert pipe.execute() == [b"v" * 1000, 1001]
                subprocess.run(
                    ["redis-cli", "--cluster", "fix", f"127.0.0.1:{source.port}"], check=True, stdout=subprocess.DEVNULL
                )
            before = writer.progress()
            wait_for(lambda: writer.progress() > before + 50, what="writes after the move")
            reshard(source.port, target.port, 200)
            reshard(target.port, source.port, 200)
        assert not writer.refused
        assert not writer.unknown
        for key in KEYS:
            assert client.get(key) == b"%d" % writer.acknowledged[key]
        assert client.dbsize() == len(names) + len(KEYS) + 1
