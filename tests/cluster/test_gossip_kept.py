"""What gossip says of a node is kept from one heartbeat to the next; it must be what would be said of it anew."""

from __future__ import annotations

import pytest

from cluster import outgoing
from cluster.context import Context
from cluster.membership import ClusterState, NodeEntry
from cluster.messages import GossipEntry
from cluster.slots import slot_set
from sim.rules.swarm import Scenario, run


def test_what_is_kept_is_what_would_be_said_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """In clusters with all kinds of faults, whenever a heartbeat is made."""
    made = outgoing._gossip
    kept = 0

    def checked(ctx: Context, about: NodeEntry | None = None) -> tuple[GossipEntry, ...]:
        nonlocal kept
        entries = made(ctx, about)
        state = ctx.state
        for node in state.table():
            told, answered_at = state.told[node.number], node.pong_received_at
            state.untell(node)
            anew = outgoing._entry(state, node)
            if told is not None:
                kept += 1
                assert told == anew
                assert state.told[node.number] == anew, "nobody would keep this now"
            state.told[node.number] = told
            node.pong_received_at = answered_at
        return entries

    monkeypatch.setattr(outgoing, "_gossip", checked)
    for seed in range(6):
        run(Scenario(seed, duration_ms=8_000.0))
    assert kept > 10_000


def test_that_a_node_has_never_answered_is_no_time() -> None:
    """Of a node that we know from nodes.conf or by hearsay; the wall clock does not keep step with the loop's."""
    me, node = NodeEntry("a" * 40), NodeEntry("b" * 40, "10.0.0.2", 7000, 17000)
    me.is_master = node.is_master = True
    state = ClusterState(me)
    state.add(node)
    state.assign(slot_set([1]), node)
    state.wall_offset_ms = 1_700_000_000_000.0
    assert outgoing._entry(state, node).pong_received == 0
    state.wall_offset_ms -= 2
    state.untell(node)
    assert node.pong_received_at is None
    assert outgoing._entry(state, node).pong_received == 0
