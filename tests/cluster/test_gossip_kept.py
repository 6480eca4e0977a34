"""What gossip says of a node is kept from one heartbeat to the next; it must be what would be said of it anew."""

from __future__ import annotations

import pytest

from cluster import outgoing
from cluster.context import Context
from cluster.membership import NodeEntry
from cluster.messages import GossipEntry
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
