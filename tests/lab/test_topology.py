from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from lab.topology import SLOTS, Role, Topology, master_of, seats, slot_range


def test_default_is_six_nodes_three_sentinels_and_a_proxy() -> None:
    places = {place.name: place.port for place in seats(Topology())}
    assert places == {
        **{f"node-{n}": 7000 + n for n in range(6)},
        **{f"sentinel-{n}": 7100 + n for n in range(3)},
        "proxy": 7200,
    }


def test_only_nodes_have_a_bus() -> None:
    for place in seats(Topology(port_base=9000)):
        assert place.bus_port == (place.port + 10_000 if place.role is Role.NODE else None)


@pytest.mark.parametrize(
    ("masters", "ranges"),
    [
        (1, [(0, 16383)]),
        (2, [(0, 8191), (8192, 16383)]),
        # What `redis-cli --cluster create` gives to three masters.
        (3, [(0, 5460), (5461, 10922), (10923, 16383)]),
        (5, [(0, 3276), (3277, 6553), (6554, 9829), (9830, 13106), (13107, 16383)]),
    ],
)
def test_slots_are_cut_as_redis_cli_cuts(masters: int, ranges: list[tuple[int, int]]) -> None:
    topology = Topology(masters=masters, replicas=0)
    assert [slot_range(topology, n) for n in range(masters)] == ranges


@pytest.mark.parametrize("masters", [1, 3, 7, 33, 100])
def test_every_slot_is_given_once(masters: int) -> None:
    topology = Topology(masters=masters, replicas=0)
    given = [slot for n in range(masters) for slot in range(slot_range(topology, n)[0], slot_range(topology, n)[1] + 1)]
    assert given == list(range(SLOTS))


def test_replicas_go_round_the_masters() -> None:
    assert [master_of(Topology(replicas=2), n) for n in range(9)] == [None, None, None, 0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(("sentinels", "quorum"), [(1, 1), (2, 2), (3, 2), (5, 3)])
def test_quorum_is_a_majority(sentinels: int, quorum: int) -> None:
    assert Topology(sentinels=sentinels).quorum == quorum


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"masters": 0}, "greater than or equal to 1"),
        ({"masters": 50, "replicas": 2}, "150 nodes are too many"),
        ({"failover": "cluster"}, "must not both fail a master over"),
        ({"failover": "cluster", "sentinels": 0, "masters": 2}, "no majority"),
        ({"sentinels": 0}, "needs at least one sentinel"),
        ({"port_base": 80}, "greater than or equal to 1024"),
        ({"port_base": 60_000}, "less than or equal to 55000"),
        ({"engine": "memcached"}, "'shardlab' or 'redis'"),
        ({"speed": "high"}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(asked: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Topology(**asked)
