"""The log under power cuts: with `appendfsync always`, what was acknowledged is there afterwards, whatever was lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from node.node import Node
from sim.host import Host
from sim.process import Process
from sim.programs import node_program
from sim.world import World
from tests.sim.worlds import forgiving, run_for, run_until, start
from wire.encoder import encode_command

PORT = 7000
CONFIG = "/data/redis.conf"
BASICS = f'port {PORT}\nprotected-mode no\ndatabases 1\nsave ""\n'
# Power cuts in one world.
CUTS = 6


class Writers:
    """Clients that write keys once each, and remember which they were told are safe."""

    def __init__(self, world: World, server: Host, pause_s: float) -> None:
        self._world = world
        self._server = server
        self._pause_s = pause_s
        self.begun = 0
        # By key: the value, and when it was acknowledged.
        self.acknowledged: dict[bytes, tuple[bytes, float]] = {}

    async def write(self) -> None:
        """Until the connection breaks."""
        reader, writer = await asyncio.open_connection(self._server.ip, PORT)
        try:
            while True:
                self.begun += 1
                key, value = b"key:%d" % self.begun, b"value of %d" % self.begun
                writer.write(encode_command([b"SET", key, value]))
                assert await reader.readexactly(5) == b"+OK\r\n"
                self.acknowledged[key] = value, self._world.loop.now
                await asyncio.sleep(self._pause_s)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()


def serve(world: World, server: Host, change: Callable[[Node], None]) -> Node:
    """Start the node and wait until it serves."""
    made: list[Node] = []

    def note(node: Node) -> None:
        change(node)
        made.append(node)

    process = server.start("node", node_program(world, CONFIG, note))
    run_until(world, lambda: not process.alive or bool(made))
    run_until(world, lambda: not process.alive or made[0].append_only.log.is_open is made[0].settings.appendonly)
    run_for(world, 0.05)
    assert process.alive, "the node refused to start"
    return made[0]


def cut_power(
    seed: int,
    policy: str,
    change: Callable[[Node], None] = lambda _: None,
    *,
    life_s: float = 0.3,
    pause_s: float = 0.004,
) -> Counter[str]:
    """What became of acknowledged writes after several power cuts, and how old the oldest lost one was, in ms."""
    with forgiving(seed) as world:
        server, client = world.add_host("server"), world.add_host("client")
        server.disk.make_folder("/data")
        config = BASICS + f"appendonly yes\nappendfsync {policy}\nauto-aof-rewrite-min-size 2kb\n"
        server.disk.put(CONFIG, config.encode())
        writers, chance = Writers(world, server, pause_s), world.stream("cuts")
        rewrites = 0
        cuts = []
        for _ in range(CUTS):
            node = serve(world, server, change)
            for _ in range(4):
                start(client, writers.write)
            run_for(world, chance.uniform(0.01, life_s))
            rewrites += node.append_only.rewriter.rewrites
            server.cut_power()
            cuts.append(world.loop.now)
            run_for(world, 0.1)
            server.boot()
        database = serve(world, server, change).keyspace.database(0)
        lost = [at for key, (value, at) in writers.acknowledged.items() if database.get(key) != value]
        # A reply may still have been on its way when the power went.
        oldest_s = max((next(cut for cut in cuts if cut >= at - 0.1) - at for at in lost), default=0.0)
        kept = len(writers.acknowledged) - len(lost)
        return Counter(kept=kept, lost=len(lost), rewrites=rewrites, oldest_ms=round(oldest_s * 1000))


def test_nothing_acknowledged_is_lost_when_every_write_is_synced() -> None:
    found: Counter[str] = sum((cut_power(seed, "always") for seed in range(3)), Counter())
    assert found["kept"] > 100
    assert found["rewrites"] > 2
    assert not found["lost"]


def test_without_a_sync_something_is_lost() -> None:
    """So the test above would notice."""
    found: Counter[str] = sum((cut_power(seed, "no") for seed in range(1)), Counter())
    assert found["lost"]


def test_with_a_sync_every_second_no_more_than_that_is_lost() -> None:
    found = cut_power(3, "everysec", life_s=5.0, pause_s=0.05)
    assert found["kept"] > found["lost"] > 0
    assert 0 < found["oldest_ms"] < 1100


def test_a_reply_before_the_sync_is_noticed() -> None:
    """The rule switched off: the log's step comes a moment after everybody has been answered."""

    def answer_first(node: Node) -> None:
        steps, end_turn = node.turn.steps, node.append_only.log.end_turn
        steps.remove(end_turn)
        steps.append(lambda: asyncio.get_running_loop().call_later(0.002, end_turn))

    found: Counter[str] = sum((cut_power(seed, "always", answer_first) for seed in range(2)), Counter())
    assert found["lost"]


def full_disk(policy: str) -> tuple[list[bytes], Process]:
    """Replies to a write, a read, and, when there is room again, another write; and the process."""
    replies: list[bytes] = []
    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        server.disk.make_folder("/data")
        server.disk.put(CONFIG, (BASICS + f"appendonly yes\nappendfsync {policy}\n").encode())
        node = serve(world, server, lambda _: None)
        process = next(iter(server.processes.values()))

        async def talk() -> None:
            reader, writer = await asyncio.open_connection(server.ip, PORT)

            async def ask(*argv: bytes) -> None:
                writer.write(encode_command(argv))
                replies.append(await reader.readuntil(b"\r\n"))

            await ask(b"SET", b"a", b"1")
            server.disk.capacity = server.disk.used + 3
            with suppress(asyncio.IncompleteReadError):
                await ask(b"SET", b"b", b"2")
                await ask(b"SET", b"c", b"3")
                await ask(b"STRLEN", b"a")
                server.disk.capacity = None
                await asyncio.sleep(1.5)
                await ask(b"SET", b"d", b"4")
                await asyncio.sleep(1.5)
            writer.close()

        talking = start(client, talk)
        run_until(world, lambda: not talking.alive)
        if process.alive:
            server.cut_power()
            server.boot()
            database = serve(world, server, lambda _: None).keyspace.database(0)
            assert [database.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"1", b"2", None, b"4"]
            assert node.append_only.log.ok
        return replies, process


def test_a_full_disk_refuses_writes_until_there_is_room() -> None:
    replies, process = full_disk("everysec")
    misconf = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
    assert replies == [b"+OK\r\n", b"+OK\r\n", misconf, b":1\r\n", b"+OK\r\n"]
    assert process.alive is False  # by the power cut


def test_a_full_disk_ends_a_node_that_promised_every_write() -> None:
    replies, process = full_disk("always")
    assert replies == [b"+OK\r\n"]
    assert process.status == 1


def test_a_slow_sync_holds_up_no_client() -> None:
    """A write would have to wait for the sync that is under way: it is put off, but no longer than two seconds."""
    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        server.disk.make_folder("/data")
        server.disk.put(CONFIG, (BASICS + "appendonly yes\nappendfsync everysec\n").encode())
        node = serve(world, server, lambda _: None)
        log = node.append_only.log
        server.disk.slowness = 10_000.0
        slowest_s = 0.0
        put_off = []

        async def write() -> None:
            nonlocal slowest_s
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            for _ in range(60):
                asked_at = world.loop.now
                writer.write(encode_command([b"INCR", b"n"]))
                await reader.readuntil(b"\r\n")
                slowest_s = max(slowest_s, world.loop.now - asked_at)
                put_off.append(log.buffered)
                await asyncio.sleep(0.1)
            writer.close()

        writing = start(client, write)
        run_until(world, lambda: not writing.alive)
        assert slowest_s < 0.05
        assert any(put_off)
        assert log.delayed_syncs > 0
        server.disk.slowness = 1.0
        run_until(world, lambda: log.synced == log.fed)


def minutes_kept(policy: str) -> int:
    """A write a minute, a snapshot after an hour, and no power any more after two and a half: how many are left?"""
    written = 150
    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        server.disk.make_folder("/data")
        lines = f"appendonly yes\nappendfsync {policy}\n" if policy else "appendonly no\n"
        server.disk.put(CONFIG, (BASICS + lines + "hz 1\n").encode())
        serve(world, server, lambda _: None)

        async def write() -> None:
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            for minute in range(1, written + 1):
                await asyncio.sleep(60)
                writer.write(encode_command([b"SET", b"minute:%d" % minute, b"1"]))
                assert await reader.readuntil(b"\r\n") == b"+OK\r\n"
                if minute == 60:
                    writer.write(encode_command([b"BGSAVE"]))
                    assert (await reader.readuntil(b"\r\n")).startswith(b"+Background saving")
            writer.close()

        writing = start(client, write)
        run_for(world, 60 * written + 0.5)
        assert not writing.alive
        server.cut_power()
        server.boot()
        database = serve(world, server, lambda _: None).keyspace.database(0)
        kept = sum(database.get(b"minute:%d" % minute) is not None for minute in range(1, written + 1))
        assert kept == database.size
        return kept


def test_what_each_way_of_keeping_data_loses() -> None:
    assert minutes_kept("") == 60
    assert minutes_kept("everysec") in (149, 150)
    assert minutes_kept("always") == 150
