"""Nodes have numbers, and what is known of one is never taken for another one's that comes after it."""

from __future__ import annotations

from cluster.membership import ClusterState, NodeEntry
from cluster.messages import GossipEntry
from cluster.numbers import Numbers


def said_of(node: NodeEntry) -> GossipEntry:
    return GossipEntry(node.id, node.ip, node.port, node.cport, node.flag_bits, 0, 1, node.pport)


def state_of(names: str, numbers: Numbers | None = None) -> ClusterState:
    myself, *others = (NodeEntry(name) for name in names)
    state = ClusterState(myself, numbers)
    for node in others:
        state.add(node)
    return state


def test_a_number_is_free_once_no_table_has_its_id() -> None:
    numbers = Numbers()
    number = numbers.take("a")
    assert numbers.take("a") == number != numbers.take("b")
    numbers.drop("a")
    assert numbers.take("c") != number
    numbers.drop("a")
    assert "a" not in numbers.of
    assert numbers.take("d") == number
    assert numbers.ids[number] == "d"


def test_a_newcomer_inherits_nothing() -> None:
    state = state_of("abc")
    node = state.nodes["b"]
    number = node.number
    state.told[number] = said_of(node)
    state.remove(node)
    # What was known of its answers is the node's own now, whoever still holds it.
    assert node.pong_received_at == 1000
    assert node.number == 0
    state.untell(node)
    newcomer = NodeEntry("d")
    state.add(newcomer)
    assert newcomer.number == number
    assert state.answered_at(newcomer) is None
    state._check()


def test_a_node_that_tells_its_name_keeps_what_is_known() -> None:
    state = state_of("abc")
    node = state.nodes["b"]
    state.told[node.number] = said_of(node)
    state.rename(node, "e")
    assert list(state.nodes) == ["a", "c", "e"]
    assert state.answered_at(node) == 1000
    state._check()


def test_tables_that_share_numbers_do_not_share_what_they_know() -> None:
    numbers = Numbers()
    one, other = state_of("abc", numbers), state_of("cbd", numbers)
    node = one.nodes["b"]
    one.make_room()
    one.told[node.number] = said_of(node)
    assert other.nodes["b"].number == node.number
    assert other.answered_at(other.nodes["b"]) is None
    other.remove(other.nodes["b"])
    other.add(NodeEntry("e"))
    assert other.nodes["e"].number != node.number
    one._check()
    other._check()
