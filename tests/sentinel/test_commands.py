"""Commands, side by side with a real sentinel that watches the same master."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import hiredis
import pytest

from runtime import Level
from runtime.disk import RealDisk
from runtime.runtime import system_runtime
from runtime.settings import SystemConfigFiles, parse
from sentinel.commands import command_table
from sentinel.config import understand
from sentinel.config_file import ConfigFile
from sentinel.sentinel import Sentinel
from tests.ports import free_base
from tests.real_redis import RealRedis
from tests.waiting import wait_until
from wire.encoder import encode_command

NAME = "mym"


class Client:
    """One connection that speaks whole command lines."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader = hiredis.Reader(encoding="utf-8")

    async def open(self) -> Client:
        self.incoming, self.outgoing = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self, line: str) -> Any:
        self.outgoing.write(encode_command([word.encode() for word in line.split()]))
        return await self.read()

    async def read(self) -> Any:
        while (reply := self.reader.gets()) is False:
            self.reader.feed(await asyncio.wait_for(self.incoming.read(65536), 5))
        return str(reply) if isinstance(reply, hiredis.ReplyError) else reply

    def close(self) -> None:
        self.outgoing.close()


def conf(port: int, master: int) -> str:
    return (
        f"port {port}\nbind 127.0.0.1\nprotected-mode no\nsentinel monitor {NAME} 127.0.0.1 {master} 2\n"
        f"sentinel down-after-milliseconds {NAME} 2000\n"
    )


@pytest.fixture
def master(start_redis: Callable[..., RealRedis]) -> RealRedis:
    """A real master with one replica."""
    server = start_redis("--repl-diskless-sync-delay", "0")
    start_redis("--replicaof", "127.0.0.1", str(server.port))
    return server


@pytest.fixture
async def prepared(master: RealRedis, tmp_path: Path) -> Sentinel:
    """A sentinel in this process that has not been started."""
    text = conf(free_base(), master.port)
    (tmp_path / "ours.conf").write_text(text)
    file = ConfigFile(RealDisk(str(tmp_path)), "ours.conf", text)
    return Sentinel(understand(parse(text, SystemConfigFiles()), command_table()), file, system_runtime())


@pytest.fixture
async def ours(prepared: Sentinel) -> AsyncIterator[Sentinel]:
    """The same, at work."""
    await prepared.start()
    yield prepared
    await prepared.stop()


@pytest.fixture
async def client(ours: Sentinel) -> AsyncIterator[Client]:
    connected = await Client(ours.options.port).open()
    yield connected
    connected.close()


@pytest.fixture
async def real(ours: Sentinel, tmp_path: Path) -> AsyncIterator[Client]:
    """A real sentinel with the same master, acquainted with ours."""
    master = ours.machine.knowledge.masters[NAME].address.port
    port = free_base()
    (tmp_path / "real.conf").write_text(conf(port, master))
    with (tmp_path / "real.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "redis-sentinel", str(tmp_path / "real.conf"), cwd=tmp_path, stdout=log, stderr=log
        )

    async def answers() -> Client | None:
        try:
            return await Client(port).open()
        except ConnectionError:
            return None

    connected = await wait_until(answers)
    assert connected is not None

    async def acquainted() -> bool:
        peers = await connected.ask(f"SENTINEL SENTINELS {NAME}")
        replicas = await connected.ask(f"SENTINEL REPLICAS {NAME}")
        return len(peers) == 1 and len(replicas) == 1 and "ok" in replicas[0]

    await wait_until(acquainted)
    known = ours.machine.knowledge.masters[NAME]

    async def met() -> bool:
        return len(known.peers) == 1 and all(replica.link_up for replica in known.replicas.values())

    await wait_until(met)
    yield connected
    connected.close()
    process.kill()
    await process.wait()


# What both must answer alike, in this order: several change something.
SAME = [
    "SENTINEL",
    "SENTINEL foo",
    "SENTINEL HELP",
    "SENTINEL MASTER",
    "SENTINEL MASTER x",
    "SENTINEL REPLICAS x",
    "SENTINEL SENTINELS x",
    "SENTINEL GET-MASTER-ADDR-BY-NAME x",
    "SENTINEL get-master-addr-by-name mym",
    "SENTINEL MYID extra",
    "SENTINEL CKQUORUM mym",
    "SENTINEL CKQUORUM x",
    "SENTINEL SET mym quorum 3",
    "SENTINEL CKQUORUM mym",
    "SENTINEL FAILOVER x",
    "SENTINEL REMOVE x",
    "SENTINEL RESET nosuch*",
    "SENTINEL PENDING-SCRIPTS",
    "SENTINEL INFO-CACHE x",
    "SENTINEL INFO-CACHE",
    "SENTINEL SET x a b",
    "SENTINEL SET mym a b",
    "SENTINEL SET mym quorum",
    "SENTINEL SET mym quorum 0",
    "SENTINEL SET mym quorum x",
    "SENTINEL SET mym down-after-milliseconds 0",
    "SENTINEL SET mym failover-timeout -1",
    "SENTINEL SET mym parallel-syncs -1",
    "SENTINEL SET mym parallel-syncs 0",
    "SENTINEL SET mym notification-script /x",
    "SENTINEL SET mym client-reconfig-script /x",
    "SENTINEL SET mym rename-command a",
    "SENTINEL SET mym quorum 4 nonsense 3",
    "SENTINEL SET mym failover-timeout 7000 parallel-syncs 2 quorum 2",
    "SENTINEL CONFIG GET announce*",
    "SENTINEL CONFIG SET a b",
    "SENTINEL CONFIG SET resolve-hostnames x",
    "SENTINEL CONFIG SET announce-port abc",
    "SENTINEL CONFIG SET announce-port 7001",
    "SENTINEL CONFIG GET announce-port",
    "SENTINEL CONFIG SET announce-port 0",
    "SENTINEL CONFIG SET resolve-hostnames yes",
    "SENTINEL CONFIG GET resolve-*",
    "SENTINEL CONFIG SET resolve-hostnames no",
    "SENTINEL DEBUG",
    "SENTINEL DEBUG foo 1",
    "SENTINEL DEBUG info-period abc",
    "SENTINEL DEBUG info-period",
    "SENTINEL DEBUG info-period 0",
    "SENTINEL DEBUG info-period 5000 ping-period 900",
    "SENTINEL DEBUG",
    "SENTINEL SIMULATE-FAILURE",
    "SENTINEL SIMULATE-FAILURE foo",
    "SENTINEL SIMULATE-FAILURE help",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 1.1.1.1 abc 0 *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 1.1.1.1 1 abc *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 1.1.1.1 1 0 *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 1.1.1.1 1 0",
    "SENTINEL MONITOR a b c d",
    "SENTINEL MONITOR a 1.1.1.1 c 1",
    "SENTINEL MONITOR a 1.1.1.1 1 0",
    "SENTINEL MONITOR a b 1 1",
    "SENTINEL MONITOR a 127.0.0.1 70000 1",
    "SENTINEL MONITOR mym 127.0.0.1 1 1",
    "SENTINEL MONITOR other 127.0.0.1 9 1",
    "SENTINEL GET-MASTER-ADDR-BY-NAME other",
    "SENTINEL RESET oth*",
    "SENTINEL REMOVE other",
    "ROLE",
    "SENTINEL FLUSHCONFIG",
    "PUBLISH a b",
    "PUBLISH __sentinel__:hello nonsense",
    "PING",
    "GET a",
    "MULTI",
    "CONFIG GET x",
    "SELECT 1",
    "SHUTDOWN foo",
    "SUBSCRIBE +sdown",
    "PING",
]


async def test_the_same_words(client: Client, real: Client) -> None:
    for line in SAME:
        assert await client.ask(line) == await real.ask(line), line


async def test_the_same_fields(ours: Sentinel, client: Client, real: Client) -> None:
    """Names of fields in Redis' order; and where nothing is a matter of time or point of view, the same values."""
    del ours
    alike = {
        *("name", "ip", "port", "flags", "link-refcount", "down-after-milliseconds"),
        *("role-reported", "config-epoch", "num-slaves", "num-other-sentinels", "quorum", "failover-timeout"),
        *("parallel-syncs", "master-link-down-time", "master-link-status", "master-host", "master-port"),
        *("slave-priority", "replica-announced", "voted-leader", "voted-leader-epoch"),
    }
    for what in ("MASTERS", f"REPLICAS {NAME}", f"SLAVES {NAME}", f"SENTINELS {NAME}"):
        (mine,), (theirs,) = await client.ask(f"SENTINEL {what}"), await real.ask(f"SENTINEL {what}")
        assert mine[::2] == theirs[::2]
        for name, left, right in zip(mine[::2], mine[1::2], theirs[1::2], strict=True):
            if name in alike and not (what.startswith("SENTINELS") and name in ("name", "port")):
                assert left == right, (what, name)
    mine, theirs = await client.ask("INFO sentinel"), await real.ask("INFO sentinel")
    assert mine == theirs
    (row,) = await client.ask("SENTINEL MASTERS")
    alone = await client.ask(f"SENTINEL MASTER {NAME}")
    assert alone[::2] == row[::2]
    mine, theirs = await client.ask(f"SENTINEL INFO-CACHE {NAME}"), await real.ask(f"SENTINEL INFO-CACHE {NAME}")
    assert mine[0] == theirs[0] == NAME
    assert [("role:" in info, age >= 0) for age, info in mine[1]] == [(True, True)] * 2
    assert [("role:" in info, age >= 0) for age, info in theirs[1]] == [(True, True)] * 2


# In this order: what an earlier one has set, a later one finds.
SEVERAL = [
    ("GET", "ERR wrong number of arguments for 'sentinel|config' command"),
    ("SET resolve-hostnames yes announce-port 1234", "OK"),
    ("GET resolve-hostnames announce-port", ["resolve-hostnames", "yes", "announce-port", "1234"]),
    ("GET announce-port nonsense announce-port", ["announce-port", "1234"]),
    ("GET log* *LEVEL loglevel", ["loglevel", "notice"]),
    ("SET announce-port 1 announce-port 2", "ERR Duplicate argument 'announce-port' to SENTINEL CONFIG SET"),
    ("SET announce-port 1 nonsense yes", "ERR Invalid argument 'nonsense' to SENTINEL CONFIG SET"),
    ("SET announce-port 1 loglevel loud", "ERR Invalid value 'loud' to SENTINEL CONFIG SET 'loglevel'"),
    ("SET announce-port 1 announce-ip", "ERR Missing argument 'announce-ip' value"),
    ("GET announce-port", ["announce-port", "1234"]),
    ("SET resolve-hostnames no announce-port 0", "OK"),
    (
        "FOO x",
        "ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...] / "
        "SET <param> <value> [<param> <value> ...] are supported.",
    ),
]


async def test_several_options_at_once(client: Client) -> None:
    """As from Redis 7.2 on: all or none."""
    for line, reply in SEVERAL:
        assert await client.ask(f"SENTINEL CONFIG {line}") == reply, line


async def test_the_log_level_is_kept(ours: Sentinel, client: Client) -> None:
    folder, name = os.path.split(ours.config_path)
    disk = RealDisk(folder)
    for level in ("NOTHING", "notice"):
        assert await client.ask(f"SENTINEL CONFIG SET loglevel {level}") == "OK"
        assert await client.ask("SENTINEL CONFIG GET loglevel") == ["loglevel", level.lower()]
        assert ours.log.level is Level[level.upper()]
        lines = disk.read(name).decode().splitlines()
        assert [line for line in lines if line.startswith("loglevel")] == [f"loglevel {level.lower()}"]


async def test_a_sentinel_has_nothing_to_touch(client: Client) -> None:
    assert str(await client.ask("CLIENT NO-TOUCH on")).startswith("ERR unknown subcommand")


async def test_scripts_are_programs(ours: Sentinel, client: Client) -> None:
    knowledge = ours.machine.knowledge
    knowledge.memory = knowledge.memory.model_copy(update={"deny_scripts_reconfig": False})
    for option, what in (("notification-script", "Notification"), ("client-reconfig-script", "Client reconfiguration")):
        for path in ("/nosuch", "/etc/passwd"):
            refusal = await client.ask(f"SENTINEL SET {NAME} {option} {path}")
            assert refusal == f"ERR {what} script seems non existing or non executable"
        assert await client.ask(f"SENTINEL SET {NAME} {option} /bin/true") == "OK"


async def test_resp3(client: Client) -> None:
    greeting = await client.ask("HELLO 3")
    assert greeting["mode"] == "sentinel"
    assert "role" not in greeting
    master = await client.ask(f"SENTINEL MASTER {NAME}")
    assert master["name"] == NAME
    assert (await client.ask("SENTINEL CONFIG GET announce-port")) == {"announce-port": "0"}


async def test_events_are_published(ours: Sentinel, client: Client) -> None:
    other = await Client(client.port).open()
    await other.ask("PSUBSCRIBE +se?")
    assert await client.ask(f"SENTINEL SET {NAME} auth-pass secret") == "OK"
    port = ours.machine.knowledge.masters[NAME].address.port
    message = await other.read()
    assert message == ["pmessage", "+se?", "+set", f"master {NAME} 127.0.0.1 {port} auth-pass ******"]
    other.close()


async def test_sections_of_info(client: Client) -> None:
    text = await client.ask("INFO")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        *("# Server", "# Clients", "# Stats", "# CPU", "# Sentinel"),
    ]
    assert "redis_mode:sentinel" in text
    assert await client.ask("INFO nosuch") == ""


@pytest.mark.parametrize("section", ["server", "clients", "stats", "cpu"])
async def test_the_fields_of_a_section(client: Client, real: Client, section: str) -> None:
    mine, theirs = await client.ask(f"INFO {section}"), await real.ask(f"INFO {section}")
    assert [line.partition(":")[0] for line in mine.splitlines()] == [
        line.partition(":")[0] for line in theirs.splitlines()
    ]


async def test_who_comes_before_the_start_waits(prepared: Sentinel) -> None:
    """As when a port with TLS is opened after one without: nothing runs before the sentinel's identity is saved."""
    port = free_base() + 1
    await prepared.listeners[1].open(["127.0.0.1"], port, 16)
    early = await Client(port).open()
    asked = asyncio.ensure_future(early.ask(f"SENTINEL MASTER {NAME}"))
    await asyncio.sleep(0.2)
    assert not asked.done()
    await prepared.start()
    assert (await asyncio.wait_for(asked, 5))[1] == NAME
    early.close()
    await prepared.stop()


async def test_a_password(ours: Sentinel, client: Client) -> None:
    ours.accounts.require_password(b"secret")
    guarded = await Client(client.port).open()
    assert await guarded.ask("SENTINEL MYID") == "NOAUTH Authentication required."
    assert (await guarded.ask("AUTH wrong")).startswith("WRONGPASS")
    assert await guarded.ask("AUTH secret") == "OK"
    assert len(await guarded.ask("SENTINEL MYID")) == 40
    guarded.close()


async def test_shutdown(ours: Sentinel, client: Client) -> None:
    client.outgoing.write(encode_command([b"SHUTDOWN"]))
    await asyncio.wait_for(ours.wait_stopped(), 5)


async def test_a_master_by_name(ours: Sentinel, client: Client) -> None:
    """SENTINEL MONITOR with a name waits for the resolver; what is sent behind it waits, too."""
    assert await client.ask("SENTINEL CONFIG SET resolve-hostnames yes") == "OK"
    client.outgoing.write(encode_command(b"SENTINEL MONITOR local localhost 9 1".split()))
    client.outgoing.write(encode_command(b"SENTINEL GET-MASTER-ADDR-BY-NAME local".split()))
    assert await client.read() == "OK"
    host, port = await client.read()
    assert (host, port) in (("127.0.0.1", "9"), ("::1", "9"))
    assert ours.machine.knowledge.masters["local"].address.host == "localhost"
    refusal = await client.ask("SENTINEL MONITOR other name.invalid 9 1")
    assert refusal == "ERR Invalid IP address or hostname specified"


async def test_the_file_cannot_be_saved(ours: Sentinel, client: Client, tmp_path: Path) -> None:
    """A vote that is not on disk is not given, and the sentinel says why it abstains."""
    known = ours.machine.knowledge.masters[NAME]

    async def settled() -> bool:
        return len(known.replicas) == 1

    await wait_until(settled)
    port = known.address.port
    (tmp_path / "ours.conf").unlink()
    (tmp_path / "ours.conf").mkdir()
    question = f"SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 {port} 5 {'a' * 40}"
    assert (await client.ask(question)).startswith("ERR")
    assert await client.ask(question) == [0, "*", 0]
    (tmp_path / "ours.conf").rmdir()

    async def votes() -> bool:
        return bool(await client.ask(question) == [0, "a" * 40, 5])

    await wait_until(votes)
    assert "sentinel leader-epoch mym 5" in (tmp_path / "ours.conf").read_text()


async def test_commands_of_the_connection(client: Client) -> None:
    assert await client.ask("CLIENT SETNAME me") == "OK"
    assert "name=me" in await client.ask("CLIENT LIST")
    names = [entry[0] for entry in await client.ask("COMMAND")]
    assert {"sentinel", "ping", "subscribe", "publish", "info", "role", "shutdown", "client"} <= set(names)
    assert "get" not in names
