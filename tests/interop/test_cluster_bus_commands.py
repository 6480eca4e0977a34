"""CLUSTER's answers are a real node's, to the letter: the same conversations with both, compared line by line."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from tests.interop.real_nodes import OURS, REDIS, RealNode, needs_redis, running
from tests.ports import free_base
from tests.waiting import wait_until

NOBODY = "f" * 40

# One conversation, in order: later answers rest on earlier ones. ME and NOBODY stand for node ids.
CONVERSATION = """\
CLUSTER
CLUSTER NOPE
CLUSTER HELP
CLUSTER HELP x
CLUSTER MEET
CLUSTER MEET 127.0.0.1
CLUSTER MEET 127.0.0.1 x
CLUSTER MEET 127.0.0.1 0
CLUSTER MEET 127.0.0.1 01
CLUSTER MEET 127.0.0.1 99999
CLUSTER MEET 127.0.0.1 60000
CLUSTER MEET 127.0.0.1 -1
CLUSTER MEET 127.0.0.1 1 x
CLUSTER MEET 127.0.0.1 1 0
CLUSTER MEET 127.0.0.1 1 -1
CLUSTER MEET 127.0.0.1 1 70000
CLUSTER MEET localhost 1
CLUSTER MEET 1.2.3 1
CLUSTER MEET 127.0.0.1 1 2 3
CLUSTER ADDSLOTS
CLUSTER ADDSLOTS x
CLUSTER ADDSLOTS -1
CLUSTER ADDSLOTS 16384
CLUSTER ADDSLOTS 1 1
CLUSTER ADDSLOTS 1 2
CLUSTER ADDSLOTS 1
CLUSTER ADDSLOTS 3 1
CLUSTER ADDSLOTS 3 3 x
CLUSTER ADDSLOTSRANGE 1
CLUSTER ADDSLOTSRANGE 1 2 3
CLUSTER ADDSLOTSRANGE 5 x
CLUSTER ADDSLOTSRANGE 5 4
CLUSTER ADDSLOTSRANGE 5 6 6 7
CLUSTER ADDSLOTSRANGE 5 16384
CLUSTER ADDSLOTSRANGE 10 12
CLUSTER DELSLOTS 5
CLUSTER DELSLOTS 1 1
CLUSTER DELSLOTS 1
CLUSTER DELSLOTSRANGE 10 13
CLUSTER DELSLOTSRANGE 10 9
CLUSTER DELSLOTSRANGE 10 12
CLUSTER DELSLOTSRANGE 10 12 3
CLUSTER SETSLOT
CLUSTER SETSLOT 1
CLUSTER SETSLOT x STABLE
CLUSTER SETSLOT 1 FOO
CLUSTER SETSLOT 1 STABLE
CLUSTER SETSLOT 1 STABLE x
CLUSTER SETSLOT 1 MIGRATING
CLUSTER SETSLOT 1 MIGRATING NOBODY
CLUSTER SETSLOT 2 MIGRATING NOBODY
CLUSTER SETSLOT 2 MIGRATING ME
CLUSTER SETSLOT 2 IMPORTING NOBODY
CLUSTER SETSLOT 1 IMPORTING NOBODY
CLUSTER SETSLOT 1 IMPORTING ME
CLUSTER NODES
CLUSTER SETSLOT 1 NODE NOBODY
CLUSTER SETSLOT 1 NODE
CLUSTER SETSLOT 1 NODE ME
CLUSTER SETSLOT 1 NODE ME extra
CLUSTER SETSLOT 99999 NODE ME
CLUSTER SETSLOT 1 FOO BAR
CLUSTER NODES
CLUSTER REPLICATE
CLUSTER REPLICATE NOBODY
CLUSTER REPLICATE ME
CLUSTER FORGET
CLUSTER FORGET NOBODY
CLUSTER FORGET ME
CLUSTER FAILOVER
CLUSTER FAILOVER FOO
CLUSTER FAILOVER FORCE
CLUSTER FAILOVER FORCE x
CLUSTER RESET FOO
CLUSTER RESET HARD SOFT
CLUSTER SET-CONFIG-EPOCH x
CLUSTER SET-CONFIG-EPOCH -1
CLUSTER SET-CONFIG-EPOCH 8
CLUSTER BUMPEPOCH
CLUSTER BUMPEPOCH x
CLUSTER COUNT-FAILURE-REPORTS NOBODY
CLUSTER COUNT-FAILURE-REPORTS ME
CLUSTER COUNTKEYSINSLOT x
CLUSTER COUNTKEYSINSLOT 16384
CLUSTER COUNTKEYSINSLOT -1
CLUSTER COUNTKEYSINSLOT 1
CLUSTER GETKEYSINSLOT x 1
CLUSTER GETKEYSINSLOT 1 x
CLUSTER GETKEYSINSLOT 1 -1
CLUSTER GETKEYSINSLOT 16384 1
CLUSTER GETKEYSINSLOT 1 1
CLUSTER KEYSLOT
CLUSTER KEYSLOT foo
CLUSTER KEYSLOT foo bar
CLUSTER MYID
CLUSTER MYID x
CLUSTER REPLICAS NOBODY
CLUSTER REPLICAS ME
CLUSTER SLAVES ME
CLUSTER SAVECONFIG
CLUSTER LINKS
CLUSTER SHARDS
CLUSTER INFO
CLUSTER SLOTS
ASKING
ASKING x
READONLY
READWRITE
SELECT 0
SELECT 1
CLUSTER FLUSHSLOTS
CLUSTER FLUSHSLOTS x
CLUSTER RESET SOFT
CLUSTER SET-CONFIG-EPOCH 8
CLUSTER RESET HARD
CLUSTER SET-CONFIG-EPOCH 8
CLUSTER SET-CONFIG-EPOCH 9
CLUSTER BUMPEPOCH
CLUSTER INFO
"""
# With all slots here, and some keys: what clients see of slots.
WITH_DATA = """\
CLUSTER ADDSLOTSRANGE 0 12181 12183 16383
UNTIL OK
GET foo
SET {user1000}.following 1
SET {user1000}.followers 1
SET bar 1
CLUSTER COUNTKEYSINSLOT 3443
CLUSTER GETKEYSINSLOT 3443 10
CLUSTER GETKEYSINSLOT 3443 1
CLUSTER GETKEYSINSLOT 3443 0
MGET {user1000}.following {user1000}.followers
MGET {user1000}.following bar
MGET foo bar
MGET bar foo
COPY bar bar DB 1
COPY bar bar DB 0
COPY bar {bar}2 DB 0
MOVE bar 1
SWAPDB 0 1
SORT foo GET STORE bar
SORT bar GET STORE foo
SORT bar BY *->f STORE foo
SORT bar BY {x*}y
SORT bar LIMIT 0 STORE foo
MIGRATE h 1 "" 0 1 AUTH KEYS foo
CLUSTER FLUSHSLOTS
CLUSTER RESET
CLUSTER SETSLOT 3443 NODE ME
MULTI
SET foo 1
GET {user1000}.following
EXEC
CLUSTER SLOTS
CLUSTER SHARDS
CLUSTER NODES
"""


@needs_redis
@pytest.mark.parametrize(
    ("conversation", "settings"),
    [
        pytest.param(CONVERSATION, (), id="orders and questions"),
        pytest.param(WITH_DATA, ("--cluster-require-full-coverage", "no"), id="keys and slots"),
    ],
)
async def test_the_same_answers(tmp_path: Path, conversation: str, settings: tuple[str, ...]) -> None:
    announced = ("--cluster-announce-ip", "127.0.0.1", *settings)
    base = free_base()
    real = RealNode(tmp_path, base, *announced)
    ours = RealNode(tmp_path, base + 1, *announced, program=OURS)
    async with running(real, ours):
        for line in conversation.splitlines():
            if line == "UNTIL OK":
                # A real node takes two seconds for it, whatever there is to be heard; ours goes by who is there.
                await wait_until(lambda: all_ok(real, ours))
                continue
            assert (line, await answer(ours, line)) == (line, await answer(real, line))


# A master with some slots, and its replica: M and R before a line say who is asked, and stand for their ids.
MASTER_AND_REPLICA = """\
M SET foo 1
M WAIT 1 30000
M CLUSTER RESET
M CLUSTER FLUSHSLOTS
M CLUSTER REPLICATE M
M CLUSTER REPLICATE R
M CLUSTER REPLICAS M
M CLUSTER REPLICAS R
M CLUSTER SETSLOT 100 MIGRATING R
M CLUSTER SETSLOT 100 NODE R
M CLUSTER SETSLOT 16000 IMPORTING R
M CLUSTER SET-CONFIG-EPOCH 3
M CLUSTER COUNTKEYSINSLOT 12182
R CLUSTER COUNTKEYSINSLOT 12182
R GET foo
R READONLY
R GET foo
R SET foo 2
R MULTI
R SET foo 2
R EXEC
R MULTI
R GET foo
R EXEC
R GET unowned
R READWRITE
R GET foo
R CLUSTER SETSLOT 100 STABLE
R CLUSTER SETSLOT x STABLE
R CLUSTER FORGET M
R CLUSTER FAILOVER FOO
R CLUSTER BUMPEPOCH
R CLUSTER COUNT-FAILURE-REPORTS M
R REPLICAOF NO ONE
R CLUSTER NODES
M CLUSTER NODES
R CLUSTER MEET 127.0.0.1 0
M DEBUG CLUSTERLINK KILL ALL nobody
R DEBUG DROP-CLUSTER-PACKET-FILTER 4
R DEBUG CLUSTERLINK KILL TO M
"""


@needs_redis
async def test_the_same_answers_of_a_master_and_its_replica(tmp_path: Path) -> None:
    options = (
        "--cluster-require-full-coverage",
        "no",
        "--repl-diskless-sync-delay",
        "0",
        "--enable-debug-command",
        "yes",
    )
    base = free_base()
    real = {name: RealNode(tmp_path, base + at, *options) for at, name in enumerate("MR")}
    ours = {name: RealNode(tmp_path, base + 2 + at, *options, program=OURS) for at, name in enumerate("MR")}
    async with running(*real.values(), *ours.values()):
        names = [await pair_up(nodes) for nodes in (ours, real)]
        for line in MASTER_AND_REPLICA.splitlines():
            who, _, words = line.partition(" ")
            answers = [
                await answer(nodes[who], words, others) for nodes, others in zip((ours, real), names, strict=True)
            ]
            assert (line, answers[0]) == (line, answers[1])


async def pair_up(nodes: dict[str, RealNode]) -> dict[str, str]:
    """Make the one a replica of the other; returns both ids, by their letters."""
    master, replica = nodes["M"], nodes["R"]
    names = {letter: await node.cluster("MYID") for letter, node in nodes.items()}
    await master.cluster("ADDSLOTSRANGE", 0, 12999)
    await master.cluster("BUMPEPOCH")
    await replica.cluster("MEET", "127.0.0.1", master.port)

    async def met() -> bool:
        return names["M"] in await replica.cluster("NODES")

    await wait_until(met)
    await replica.cluster("REPLICATE", names["M"])

    async def in_sync() -> bool:
        return (await replica.client.execute_command("ROLE"))[3] == "connected"

    await wait_until(in_sync)
    await wait_until(lambda: all_ok(master, replica))

    async def known() -> bool:
        return f"slave {names['M']}" in await master.cluster("NODES")

    await wait_until(known)
    return names


async def all_ok(*nodes: RealNode) -> bool:
    return all(["cluster_state:ok" in await node.cluster("INFO") for node in nodes])


async def answer(node: RealNode, line: str, names: dict[str, str] | None = None) -> str:
    """The reply as text, without what differs between any two nodes: names, ports and times."""
    names = names or {"ME": await node.cluster("MYID"), "NOBODY": NOBODY}
    words = [names.get(word, word) for word in line.split()]
    reply = node.ask(*words)
    if line == "CLUSTER NODES":
        # Nodes come in any order.
        reply = sorted(reply.splitlines(), key=lambda text: text.split()[2])
    text = repr(reply)
    for name, node_id in names.items():
        text = text.replace(node_id, f"<{name}>")
    # A test's nodes, and their buses, are told apart by the last digit alone.
    text = re.sub(rf"\b({node.port // 10}|{node.port // 10 + 1000})\d\b", "<port>", text)
    text = re.sub(r"\b\d{13}\b", "<ms>", text)
    # A ping may be under way just now.
    text = re.sub(r"( (?:<\w+>|-)) (?:0|<ms>) (?:0|<ms>) (?=\d+ (?:dis)?connected)", r"\1 <pinged> <answered> ", text)
    # What the size is before the first judgement of the state differs, and means nothing.
    return re.sub(r"cluster_size:\d+", "cluster_size", text)


_TOUCH = "redis.call('set', 'foo', '1')"
_SCRIPTS = (
    f"return {_TOUCH}",
    f"{_TOUCH} redis.call('set', 'bar', '1')",
    f"redis.pcall('get', 'bar') return {_TOUCH}",
)
_HEADS = ("", "#!lua\n", "#!lua flags=allow-cross-slot-keys\n")
_KEYS = ((), ("bar",), ("foo",), ("{foo}2",), ("foo", "bar"))


@needs_redis
async def test_slots_of_scripts(tmp_path: Path) -> None:
    """A script with a shebang line keeps to one slot, and that is the one of the keys that it was given."""
    base = free_base()
    nodes = [RealNode(tmp_path, base), RealNode(tmp_path, base + 1, program=OURS)]
    async with running(*nodes):
        for node in nodes:
            await node.cluster("ADDSLOTSRANGE", 0, 16383)
        await wait_until(lambda: all_ok(*nodes))
        for head, script, keys in itertools.product(_HEADS, _SCRIPTS, _KEYS):
            words = ("EVAL", head + script, str(len(keys)), *keys)
            real, ours = ([repr(node.ask(*line)) for line in (words, ("MULTI",), words, ("EXEC",))] for node in nodes)
            assert (words, ours) == (words, real)


@needs_redis
async def test_scripts_on_a_replica(tmp_path: Path) -> None:
    """A script that says what it does is sent to the master unless it says that it does not write."""
    options = ("--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0")
    base = free_base()
    real = {name: RealNode(tmp_path, base + at, *options) for at, name in enumerate("MR")}
    ours = {name: RealNode(tmp_path, base + 2 + at, *options, program=OURS) for at, name in enumerate("MR")}
    async with running(*real.values(), *ours.values()):
        for nodes in (ours, real):
            await pair_up(nodes)
            nodes["R"].ask("READONLY")
        for head, script in itertools.product(_DECLARED, _READING):
            for name in ("EVAL", "EVAL_RO"):
                line = (name, head + script, "1", "foo")
                asked = (line, ("MULTI",), line, ("EXEC",))
                answers = [[_any_port(nodes["R"], words) for words in asked] for nodes in (ours, real)]
                assert (line, answers[0]) == (line, answers[1])


_DECLARED = ("", "#!lua\n", "#!lua flags=no-writes\n", "#!lua flags=no-writes,allow-stale\n", "#!lua flags=allow-oom\n")
_READING = ("return redis.call('get', KEYS[1])", "return redis.call('set', KEYS[1], 1)")


def _any_port(node: RealNode, line: tuple[str, ...]) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "<address>", repr(node.ask(*line)))


@needs_redis
@pytest.mark.parametrize("program", [REDIS, OURS])
async def test_a_replica_without_data_is_not_offered(tmp_path: Path, program: tuple[str, ...]) -> None:
    """While it loads a copy, and has nothing else, nobody should read from it."""
    options = ("--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0")
    options += ("--loading-process-events-interval-bytes", "1024")
    base = free_base()
    master, replica = (RealNode(tmp_path, base + at, *options, program=program) for at in range(2))
    async with running(master, replica):
        await pair_up({"M": master, "R": replica})

        async def seen_as(health: str, nodes: int) -> bool:
            shard = next(shard for shard in master.ask("CLUSTER", "SHARDS") if shard[1])
            about = [dict(zip(node[::2], node[1::2], strict=True)) for node in shard[3]]
            healths = [node["health"] for node in about if node["port"] == replica.port]
            return healths == [health] and len(master.ask("CLUSTER", "SLOTS")[0][2:]) == nodes

        await wait_until(lambda: seen_as("online", 2))
        # Ten seconds' worth of keys, and nothing to go on from.
        replica.ask("CONFIG", "SET", "key-load-delay", "100000")
        master.ask("CONFIG", "SET", "repl-backlog-size", "100")
        master.ask("MULTI")
        master.ask("CLIENT", "KILL", "TYPE", "replica")
        for number in range(100):
            master.ask("SET", f"{{foo}}{number}", "x" * 1024)
        master.ask("EXEC")
        await wait_until(lambda: seen_as("loading", 1))
        assert (await replica.replication())["slave_repl_offset"] == "1"
        replica.ask("CONFIG", "SET", "key-load-delay", "0")
        await wait_until(lambda: seen_as("online", 2))


@needs_redis
async def test_outside_a_cluster(tmp_path: Path) -> None:
    alone = ("--cluster-enabled", "no")
    base = free_base()
    real, ours = RealNode(tmp_path, base, *alone), RealNode(tmp_path, base + 1, *alone, program=OURS)
    async with running(real, ours):
        for line in ("CLUSTER", "CLUSTER HELP", "CLUSTER INFO", "CLUSTER NOPE", "CLUSTER ADDSLOTS", "READONLY"):
            assert repr(ours.ask(*line.split())) == repr(real.ask(*line.split()))
