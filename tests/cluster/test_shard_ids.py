"""The id of a shard, as Redis 7.2 has it: a master and its replicas share one, and it outlives each of them."""

import pytest

from cluster.events import Failover, FailoverMode, Received, Replicate, Reset, Send
from cluster.messages import (
    NO_EXTENSIONS,
    NO_SLOTS,
    Extensions,
    Header,
    Heartbeat,
    Message,
    MessageFlag,
    MessageType,
    NodeFlag,
)
from tests.cluster.mesh import Mesh, Peer


def formed(*, datagrams: bool = True) -> tuple[Mesh, list[Peer]]:
    mesh = Mesh(datagrams=datagrams)
    mesh.form()
    # Everybody has heard from everybody since.
    mesh.run(3000)
    return mesh, [mesh.peers[name] for name in ("m0", "m1", "m2", "r0", "r1", "r2")]


def seen(by: Peer, peers: list[Peer]) -> list[str]:
    return [by.entry(peer).shard for peer in peers]


def test_all_nodes_agree_on_who_is_of_a_shard() -> None:
    for datagrams in (True, False):
        mesh, peers = formed(datagrams=datagrams)
        own = [peer.shard_id for peer in peers[:3]] * 2
        assert len(set(own)) == 3
        assert [seen(peer, peers) for peer in peers] == [own] * 6
        assert not {peer.node_id for peer in peers} & set(own)
        mesh.check()


def test_a_shard_keeps_its_id_when_its_master_is_replaced_and_comes_back() -> None:
    mesh, peers = formed()
    m0, m1, r0 = peers[0], peers[1], peers[3]
    own = seen(m1, peers)
    mesh.kill(m0)
    mesh.until(lambda: r0.me.is_master and m1.entry(r0).is_master)
    # Dead, it is still of the shard, as a master without slots.
    assert seen(m1, peers) == seen(r0, peers) == own
    mesh.restart(m0)
    mesh.until(lambda: m0.me.is_replica)
    mesh.until(mesh.settled)
    assert [seen(peer, peers) for peer in peers] == [own] * 6


def test_a_replica_of_another_master_is_of_its_shard() -> None:
    mesh, peers = formed()
    r0, m0, m1 = peers[3], peers[0], peers[1]
    r0.order(Replicate(m1.node_id))
    assert r0.me.shard == m1.shard_id
    mesh.until(mesh.settled)
    assert m0.entry(r0).shard == m1.shard_id
    r0.order(Failover(FailoverMode.TAKEOVER))
    mesh.until(mesh.settled)
    assert {peer.entry(node).shard for peer in peers for node in (r0, m1, peers[4])} == {m1.shard_id}


def test_the_ids_survive_a_restart_of_all_nodes() -> None:
    mesh, peers = formed()
    own = seen(peers[0], peers)
    for peer in peers:
        mesh.kill(peer)
    for peer in peers:
        mesh.restart(peer)
        assert seen(peer, [peer]) == [own[peers.index(peer)]]
    mesh.until(mesh.settled)
    assert [seen(peer, peers) for peer in peers] == [own] * 6


def test_who_leaves_a_shard_by_a_reset_begins_another() -> None:
    mesh, peers = formed()
    m0, r1, r2 = peers[0], peers[4], peers[5]
    own = seen(m0, peers)
    # A master that keeps its name keeps its shard; its replicas will find it again.
    m0.order(Reset())
    assert m0.me.shard == m0.shard_id
    m0.order(Reset(hard=True))
    r1.order(Reset())
    r2.order(Reset(hard=True))
    began = {m0.me.shard, r1.me.shard, r2.me.shard}
    assert len(began) == 3
    assert not began & {*own, m0.me.id, r1.me.id, r2.me.id}
    mesh.restart(r1)
    assert r1.me.shard in began


def test_who_does_not_say_an_id_has_its_own() -> None:
    """Redis 7.0 has none; its replicas then share the master's name."""
    mesh, peers = formed()
    m0, m1, r0 = peers[0], peers[1], peers[3]
    silent = m1.entry(m0)
    silent.shard_id = silent.id
    assert m1.entry(r0).shard == m0.node_id
    mesh.until(lambda: m1.entry(r0).shard == m0.shard_id)


OTHER = "e" * 40


@pytest.mark.parametrize(
    ("mflags", "extensions", "told"),
    [
        pytest.param(MessageFlag(0), NO_EXTENSIONS, False, id="Redis 7.0"),
        pytest.param(MessageFlag.EXT_DATA, Extensions(hostname="a-host"), False, id="Redis 7.0 with a host name"),
        pytest.param(MessageFlag.EXT_DATA, Extensions(shard_id=OTHER), True, id="Redis 7.2"),
        pytest.param(MessageFlag.EXT_DATA, NO_EXTENSIONS, True, id="Valkey 8"),
        pytest.param(MessageFlag.EXTENDED, NO_EXTENSIONS, True, id="Shardlab"),
    ],
)
def test_only_those_who_understand_it_are_told(mflags: MessageFlag, extensions: Extensions, told: bool) -> None:
    """A real Redis 7.0 logs a warning for each extension that it does not know."""
    mesh, peers = formed(datagrams=False)
    m0, m1 = peers[:2]
    m1.entry(m0).tells_shard = False
    mesh.kill(m0)
    epoch = m0.machine.state.current_epoch
    header = Header(m0.node_id, NodeFlag(17), m0.ip, 7000, 17000, epoch, 1, NO_SLOTS, None, 0, True, mflags)
    ping = Message(header, Heartbeat(MessageType.PING, (), extensions))
    for _ in range(2):
        m1.effects.clear()
        m1.take(Received(-99, ping, m0.ip, m1.ip))
    [answer] = [effect for _, effect in m1.effects if isinstance(effect, Send) and effect.link == -99]
    assert isinstance(answer.message.body, Heartbeat)
    assert answer.message.body.extensions.shard_id == (m1.shard_id if told else None)
    assert m1.entry(m0).shard == (extensions.shard_id or m0.shard_id)
