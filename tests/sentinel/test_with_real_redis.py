"""Our sentinels as processes, over real redis-servers, alone and together with real sentinels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.sentinel import Sentinel as SentinelClient

from tests.sentinel.running import NAME, OURS, REAL, Deployment, Process, rows
from tests.waiting import wait_for

# An election that nobody wins is waited out (see FAILOVER_TIMEOUT_MS).
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def deployment(tmp_path: Path, start_redis: object) -> Iterator[Deployment]:
    del start_redis  # it is asked for because it knows what to do where redis-server is missing
    made = Deployment(tmp_path)
    yield made
    made.close()


def test_the_master_is_killed_twice(deployment: Deployment) -> None:
    deployment.shard(replicas=2)
    for _ in range(3):
        deployment.sentinel()
    deployment.wait_acquainted(replicas=2)
    first, *_ = deployment.redises
    with deployment.sentinels[0].client.pubsub() as pubsub:
        pubsub.psubscribe("*")
        wait_for(lambda: pubsub.get_message(timeout=1), what="the subscription")

        client = SentinelClient([("127.0.0.1", each.port) for each in deployment.sentinels], protocol=2)
        assert client.discover_master(NAME) == ("127.0.0.1", first.port)
        first.kill()
        heir = wait_for(lambda: _writable(deployment, first), what="a master that takes writes")
        assert deployment.wait_switched(first) == heir.port
        assert client.discover_master(NAME) == ("127.0.0.1", heir.port)

        expected = f"{NAME} 127.0.0.1 {first.port} 127.0.0.1 {heir.port}"
        heard: list[tuple[str, str]] = []

        def switch_heard() -> bool:
            while (message := pubsub.get_message(timeout=0.05)) is not None:
                heard.append((message["channel"], message["data"]))
            return ("+switch-master", expected) in heard

        wait_for(switch_heard, what="+switch-master")
    # By a quorum of them. The third may have been told of the new master before it missed the old one.
    down = f"+sdown master {NAME} 127.0.0.1 {first.port}\n"
    assert sum(down in sentinel.log for sentinel in deployment.sentinels) >= 2

    (last,) = [each for each in deployment.redises if each not in (first, heir)]
    wait_for(lambda: last.client.info("replication")["master_port"] == heir.port, what="the other replica follows")
    wait_for(lambda: heir.client.info("replication")["connected_slaves"] == 1, what="and is in sync")
    for sentinel in deployment.sentinels:
        wait_for(lambda s=sentinel: _sees(s, last, "slave"), what="the sentinels see it")
    heir.kill()
    assert deployment.wait_switched(heir) == last.port


def _writable(deployment: Deployment, dead: Process) -> Process | None:
    for each in deployment.redises:
        if each is not dead:
            try:
                each.client.set("key", "value")
            except redis.ReadOnlyError:
                continue
            return each
    return None


def _sees(sentinel: Process, replica: Process, flags: str) -> bool:
    return any(
        row["port"] == str(replica.port) and row["flags"] == flags and row["master-link-status"] == "ok"
        for row in rows(sentinel, "REPLICAS")
    )


@pytest.mark.parametrize("ours", [1, 2])
def test_mixed_with_real_sentinels(deployment: Deployment, ours: int) -> None:
    """They find each other, agree by quorum and majority, and end with the same master and the same files."""
    deployment.shard(replicas=2)
    for number in range(3):
        if number < ours:
            deployment.sentinel()
        else:
            deployment.sentinel(REAL)
    deployment.wait_acquainted(replicas=2)
    deployment.redises[0].kill()
    port = deployment.wait_switched(deployment.redises[0])
    for sentinel in deployment.sentinels:
        conf = sentinel.folder / "sentinel.conf"
        wait_for(
            lambda c=conf: f"sentinel monitor {NAME} 127.0.0.1 {port} 2" in c.read_text(), what="the rewritten file"
        )
        assert len([line for line in conf.read_text().splitlines() if "known-sentinel" in line]) == 2


def test_they_read_each_others_files(deployment: Deployment) -> None:
    """A file that ours wrote starts a real sentinel, and what that one wrote starts ours again; nothing is lost."""
    deployment.shard(replicas=1)
    sentinel = deployment.sentinel(quorum=1)
    deployment.sentinel(quorum=1)
    deployment.wait_acquainted(replicas=1)
    my_id = sentinel.client.execute_command("SENTINEL MYID")
    ours = sentinel.command
    for command in (["redis-sentinel", "sentinel.conf"], ours):
        assert sentinel.terminate() == 0
        sentinel.command = command
        sentinel.start()
        deployment.wait_acquainted(replicas=1)
        assert sentinel.client.execute_command("SENTINEL MYID") == my_id


def test_the_old_master_comes_back(deployment: Deployment) -> None:
    deployment.shard(replicas=1)
    for _ in range(3):
        deployment.sentinel()
    deployment.wait_acquainted(replicas=1)
    first, second = deployment.redises
    first.kill()
    assert deployment.wait_switched(first) == second.port
    for sentinel in deployment.sentinels:
        # Four hello periods of 2 s and an INFO every 10 s would be a long wait in real time.
        sentinel.client.execute_command("SENTINEL DEBUG", "publish-period", "200", "info-period", "300")
    first.start()
    wait_for(first.answers)
    wait_for(lambda: first.client.info("replication")["role"] == "slave", what="a replica again")
    wait_for(lambda: first.client.info("replication")["master_link_status"] == "up", what="in sync again")


def test_a_forced_failover_behind_passwords(deployment: Deployment) -> None:
    """Passwords on redis and on the sentinels, and a command that is called something else."""
    secured = ("--requirepass", "a", "--masterauth", "a", "--rename-command", "CONFIG", "guessit")
    first = deployment.redis(*secured, password="a")
    second = deployment.redis(*secured, "--replicaof", "127.0.0.1", str(first.port), password="a")
    more = f"sentinel auth-pass {NAME} a\nsentinel rename-command {NAME} CONFIG guessit\nrequirepass b\n"
    for program in (OURS, OURS, REAL):
        deployment.sentinel(program, more=more, password="b")
    deployment.wait_acquainted(replicas=1)
    sentinel = deployment.sentinels[0]
    assert sentinel.client.execute_command("SENTINEL FAILOVER", NAME)
    assert deployment.wait_switched(first) == second.port
    assert second.client.info("replication")["role"] == "master"


def test_a_master_that_refuses_us_is_disconnected(deployment: Deployment) -> None:
    """Neither sentinel can listen to its hellos before it knows the password."""
    deployment.redis("--requirepass", "a", password="a")
    for program in (OURS, REAL):
        sentinel = deployment.sentinel(program, quorum=5)
        wait_for(sentinel.answers, what="a sentinel's PONG")
        wait_for(lambda s=sentinel: "disconnected" in _flags(s), what="disconnected")
        sentinel.client.execute_command("SENTINEL SET", NAME, "auth-pass", "a")
        wait_for(lambda s=sentinel: _flags(s) == "master", what="a master that is well")


def _flags(sentinel: Process) -> str:
    return str(sentinel.client.execute_command("SENTINEL MASTER", NAME)["flags"])
