"""Which command is served here, and what the others are told: fact sheet on the bus, section 16."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.endpoints import ClientNetwork
from cluster.membership import ClusterState, NodeEntry
from cluster.slots import ALL_SLOTS, key_slot, slot_set
from node.keyspace import Keyspace
from node.notifications import Notifier
from node.redirection import Redirection
from node.session import NodeSession
from node.settings import NodeSettings
from wire.command import ASKING, READONLY, WRITE, CommandSpec, KeySpec, command, key, keys
from wire.pubsub import Broker
from wire.table import Command

ME, OTHER = "a" * 40, "b" * 40
SLOT = key_slot(b"{x}")


def declare(name: str, flags: int, specs: tuple[KeySpec, ...]) -> Command:
    declared = command(name, arity=-1, flags=flags, keys=specs, group="x", since="1", complexity="", summary="")
    spec = declared(lambda call: None)
    assert isinstance(spec, CommandSpec)
    return Command(spec, 0)


GET = declare("GET", READONLY, key(1))
SET = declare("SET", WRITE, key(1))
MGET = declare("MGET", READONLY, keys(1, -1, 1))
MSET = declare("MSET", WRITE, keys(1, -1, 2))
BLPOP = declare("BLPOP", WRITE, keys(1, -2, 1))
XREAD = declare("XREAD", READONLY, (KeySpec(1, (), keyword="STREAMS", last=-1, limit=2),))
PING = declare("PING", 0, ())
EXEC = declare("EXEC", 0, ())
MIGRATE = declare("MIGRATE", WRITE, key(3))
RESTORE_ASKING = declare("RESTORE-ASKING", WRITE | ASKING, key(1))
SPUBLISH = declare("SPUBLISH", 0, key(1))


class Seat:
    """This node, a second one, and a client at this node."""

    def __init__(self) -> None:
        self.me, self.other = NodeEntry(ME, "10.0.0.1", 7000, 17000), NodeEntry(OTHER, "10.0.0.2", 7001, 17001)
        self.me.is_master = self.other.is_master = True
        self.state = ClusterState(self.me)
        self.state.add(self.other)
        self.state.assign(ALL_SLOTS, self.me)
        self.state.ok = True
        self.keyspace = Keyspace(1, Notifier(Broker()))
        self.settings = NodeSettings()
        self.redirection = Redirection(self.state, self.keyspace, self.settings)
        self.client = NodeSession(1, None, 0)
        self.client.address = "192.168.1.5:50000"

    def ask(self, command: Command, *arguments: bytes) -> str:
        """The refusal's text, "" when the command is served here."""
        error = self.redirection(self.client, command, command.flags, [command.name.encode(), *arguments])
        return "" if error is None else error.text.decode()

    def lost(self, command: Command, *arguments: bytes) -> str:
        """What a client that blocks in this command is told, "" when it may go on."""
        error = self.redirection.lost(self.client, command, [command.name.encode(), *arguments])
        return "" if error is None else error.text.decode()

    def give_away(self) -> None:
        self.state.assign(slot_set([SLOT]), self.other)

    def migrate(self) -> None:
        self.state.open_slot(self.state.migrating, SLOT, self.other)

    def import_slot(self) -> None:
        self.give_away()
        self.state.open_slot(self.state.importing, SLOT, self.other)

    def put(self, *names: bytes) -> None:
        for name in names:
            self.keyspace.database(0).put(name, b"v")

    def become_replica(self) -> None:
        self.state.unassign(ALL_SLOTS)
        self.state.become_replica(self.me, self.other)
        self.state.assign(ALL_SLOTS, self.other)


@pytest.fixture
def seat() -> Seat:
    return Seat()


MOVED, ASK = f"MOVED {SLOT} 10.0.0.2:7001", f"ASK {SLOT} 10.0.0.2:7001"
TRYAGAIN = "TRYAGAIN Multiple keys request during rehashing of slot"
CROSSSLOT = "CROSSSLOT Keys in request don't hash to the same slot"


def test_our_slots_are_served(seat: Seat) -> None:
    assert seat.ask(GET, b"{x}") == ""
    assert seat.ask(MSET, b"{x}1", b"v", b"{x}2", b"v") == ""


def test_others_are_moved(seat: Seat) -> None:
    seat.give_away()
    assert seat.ask(GET, b"{x}") == MOVED
    assert seat.ask(PING) == ""


def test_keys_of_different_slots(seat: Seat) -> None:
    assert seat.ask(MGET, b"foo", b"bar") == CROSSSLOT
    assert seat.ask(MGET, b"foo", b"foo") == ""
    assert seat.ask(MSET, b"foo", b"1", b"bar", b"2") == CROSSSLOT


def test_slots_without_owner(seat: Seat) -> None:
    seat.state.unassign(slot_set([SLOT]))
    # Whether somebody owns the slot is asked before anything else: the other key, or the cluster's state.
    seat.state.ok = False
    assert seat.ask(MGET, b"{x}", b"y") == "CLUSTERDOWN Hash slot not served"


def test_the_address_is_the_clients(seat: Seat) -> None:
    seat.give_away()
    seat.other.hostname = "node-2"
    assert seat.ask(GET, b"{x}") == MOVED
    seat.settings.cluster_preferred_endpoint_type = "hostname"
    assert seat.ask(GET, b"{x}") == f"MOVED {SLOT} node-2:7001"
    seat.other.client_networks = (ClientNetwork.of("192.168.0.0/16", "localhost", "8001"),)
    assert seat.ask(GET, b"{x}") == f"MOVED {SLOT} localhost:8001"
    seat.client.address = "[::1]:50000"
    assert seat.ask(GET, b"{x}") == f"MOVED {SLOT} node-2:7001"


class TestMigrating:
    @pytest.mark.parametrize(
        ("present", "asked", "expected"),
        [
            ([b"{x}1"], [b"{x}1"], ""),
            ([], [b"{x}1"], ASK),
            ([b"{x}1"], [b"{x}1", b"{x}2"], TRYAGAIN),
            ([b"{x}1"], [b"{x}2", b"{x}3"], ASK),
            ([b"{x}1", b"{x}2"], [b"{x}1", b"{x}2"], ""),
            ([b"{x}1"], [b"{x}1", b"{x}1"], ""),
        ],
    )
    def test_what_is_gone_is_asked_for_at_the_target(
        self, seat: Seat, present: list[bytes], asked: list[bytes], expected: str
    ) -> None:
        seat.migrate()
        seat.put(*present)
        assert seat.ask(MGET, *asked) == expected

    def test_an_expired_key_is_gone(self, seat: Seat) -> None:
        seat.migrate()
        seat.put(b"{x}1")
        seat.keyspace.database(0).set_expire_time(b"{x}1", 1000)
        seat.keyspace.now_ms = 2000
        assert seat.ask(GET, b"{x}1") == ASK

    def test_migrate_is_always_served(self, seat: Seat) -> None:
        seat.migrate()
        assert seat.ask(MIGRATE, b"host", b"1", b"{x}") == ""

    def test_channels_stay(self, seat: Seat) -> None:
        seat.migrate()
        assert seat.ask(SPUBLISH, b"{x}", b"m") == ""


class TestImporting:
    def test_only_those_who_were_sent_are_served(self, seat: Seat) -> None:
        seat.import_slot()
        assert seat.ask(GET, b"{x}") == MOVED
        seat.client.asking = True
        assert seat.ask(GET, b"{x}") == ""

    def test_a_command_may_imply_asking(self, seat: Seat) -> None:
        seat.import_slot()
        assert seat.ask(RESTORE_ASKING, b"{x}") == ""

    def test_several_keys_must_all_have_arrived(self, seat: Seat) -> None:
        seat.import_slot()
        seat.client.asking = True
        seat.put(b"{x}1")
        assert seat.ask(MGET, b"{x}1", b"{x}2") == TRYAGAIN
        seat.put(b"{x}2")
        assert seat.ask(MGET, b"{x}1", b"{x}2") == ""


class TestDown:
    @pytest.mark.parametrize(
        ("command", "when_down", "expected"),
        [
            (GET, {}, "CLUSTERDOWN The cluster is down"),
            (SET, {}, "CLUSTERDOWN The cluster is down"),
            (PING, {}, ""),
            (GET, {"cluster_allow_reads_when_down": True}, ""),
            (
                SET,
                {"cluster_allow_reads_when_down": True},
                "CLUSTERDOWN The cluster is down and only accepts read commands",
            ),
            (SPUBLISH, {}, ""),
            (SPUBLISH, {"cluster_allow_pubsubshard_when_down": False}, "CLUSTERDOWN The cluster is down"),
        ],
    )
    def test_while_the_cluster_is_down(
        self, seat: Seat, command: Command, when_down: dict[str, bool], expected: str
    ) -> None:
        seat.state.ok = False
        for name, value in when_down.items():
            setattr(seat.settings, name, value)
        assert seat.ask(command, b"{x}", b"v") == expected


class TestBlockedClient:
    """Whether one who waits for keys may go on waiting."""

    def test_goes_where_the_slot_went(self, seat: Seat) -> None:
        assert seat.lost(BLPOP, b"{x}1", b"{x}2", b"0") == ""
        seat.give_away()
        assert seat.lost(BLPOP, b"{x}1", b"{x}2", b"0") == MOVED
        seat.state.unassign(slot_set([SLOT]))
        assert seat.lost(BLPOP, b"{x}1", b"{x}2", b"0") == "CLUSTERDOWN Hash slot not served"

    def test_waits_on_while_the_slot_is_open(self, seat: Seat) -> None:
        seat.migrate()
        assert seat.lost(BLPOP, b"{x}", b"0") == ""
        seat.import_slot()
        assert seat.lost(BLPOP, b"{x}", b"0") == ""

    def test_is_told_that_the_cluster_is_down(self, seat: Seat) -> None:
        seat.state.ok = False
        assert seat.lost(BLPOP, b"{x}", b"0") == "CLUSTERDOWN The cluster is down"

    def test_reads_on_at_a_replica(self, seat: Seat) -> None:
        seat.become_replica()
        assert seat.lost(XREAD, b"BLOCK", b"0", b"STREAMS", b"{x}", b"0") == MOVED
        seat.client.readonly = True
        assert seat.lost(XREAD, b"BLOCK", b"0", b"STREAMS", b"{x}", b"0") == ""


class TestReplica:
    def test_serves_reads_to_those_who_want_them(self, seat: Seat) -> None:
        seat.become_replica()
        assert seat.ask(GET, b"{x}") == MOVED
        seat.client.readonly = True
        assert seat.ask(GET, b"{x}") == ""
        assert seat.ask(SET, b"{x}", b"v") == MOVED

    def test_serves_shard_channels(self, seat: Seat) -> None:
        seat.become_replica()
        assert seat.ask(SPUBLISH, b"{x}", b"m") == ""


class TestTransaction:
    @pytest.fixture
    def queue(self, seat: Seat) -> Callable[..., None]:
        seat.client.begin()

        def queue(command: Command, *arguments: bytes) -> None:
            assert seat.client.transaction is not None
            seat.client.transaction.add(command, [command.name.encode(), *arguments], command.flags)

        return queue

    def test_exec_is_judged_by_all_that_is_queued(self, seat: Seat, queue: Callable[..., None]) -> None:
        queue(GET, b"{x}1")
        queue(PING)
        queue(SET, b"{x}2", b"v")
        assert seat.ask(EXEC) == ""
        seat.give_away()
        assert seat.ask(EXEC) == MOVED

    def test_on_a_replica_one_write_is_enough_to_move_it(self, seat: Seat, queue: Callable[..., None]) -> None:
        seat.become_replica()
        seat.client.readonly = True
        queue(GET, b"{x}1")
        assert seat.ask(EXEC) == ""
        queue(SET, b"{x}1", b"v")
        assert seat.ask(EXEC) == MOVED

    def test_channels_have_it_run_at_a_replica(self, seat: Seat, queue: Callable[..., None]) -> None:
        seat.become_replica()
        queue(SPUBLISH, b"{x}", b"m")
        assert seat.ask(EXEC) == ""
        queue(SET, b"{x}1", b"v")
        assert seat.ask(EXEC) == MOVED

    def test_only_its_keys_can_be_missing(self, seat: Seat, queue: Callable[..., None]) -> None:
        seat.migrate()
        queue(SPUBLISH, b"{x}", b"m")
        assert seat.ask(EXEC) == ""
        queue(GET, b"{x}1")
        assert seat.ask(EXEC) == ASK
        seat.put(b"{x}1")
        assert seat.ask(EXEC) == ""
        queue(GET, b"{x}2")
        assert seat.ask(EXEC) == TRYAGAIN

    def test_a_channel_and_one_key_are_not_several_keys(self, seat: Seat, queue: Callable[..., None]) -> None:
        seat.import_slot()
        seat.client.asking = True
        queue(SPUBLISH, b"{x}", b"m")
        queue(GET, b"{x}1")
        assert seat.ask(EXEC) == ""

    def test_channels_open_no_way_to_the_keys_of_a_cluster_that_is_down(
        self, seat: Seat, queue: Callable[..., None]
    ) -> None:
        seat.state.ok = False
        queue(SPUBLISH, b"{x}", b"m")
        assert seat.ask(EXEC) == ""
        queue(GET, b"{x}1")
        assert seat.ask(EXEC) == "CLUSTERDOWN The cluster is down"
        seat.settings.cluster_allow_reads_when_down = True
        assert seat.ask(EXEC) == ""
        seat.settings.cluster_allow_pubsubshard_when_down = False
        assert seat.ask(EXEC) == "CLUSTERDOWN The cluster is down"

    def test_exec_without_multi_is_no_matter_of_slots(self, seat: Seat) -> None:
        assert seat.ask(EXEC) == ""
