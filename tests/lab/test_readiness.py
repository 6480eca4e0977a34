"""A lab that is ready, and each single thing that keeps it from being so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.drivers.process import Life
from lab.observe import NodeView, Observation, ShardWatch
from lab.readiness import missing, unwell
from lab.topology import Role

MASTER = NodeView(
    node_id="a" * 40,
    role="master",
    master="",
    cluster_state="ok",
    slots_ok=16384,
    slots=((0, 16383),),
    epoch=1,
    link_up=True,
    offset=10,
    online_replicas=("h:2",),
    keys=0,
)
REPLICA = replace(MASTER, node_id="b" * 40, role="replica", master="h:1", slots=(), online_replicas=())
WATCH = ShardWatch(name="shard-0", address="h:1", troubles=(), replicas=("h:2",), sentinels=("other",))


def node(name: str, address: str, view: NodeView) -> Observation:
    return Observation(name, Role.NODE, address, Life.RUNNING, node=view)


def sentinel(name: str, *watches: ShardWatch) -> Observation:
    return Observation(name, Role.SENTINEL, f"h:{name}", Life.RUNNING, watches=watches)


def lab(
    master: NodeView = MASTER, replica: NodeView = REPLICA, watch: ShardWatch = WATCH, *, proxy: bool = True
) -> list[Observation]:
    return [
        node("node-0", "h:1", master),
        node("node-1", "h:2", replica),
        sentinel("sentinel-0", watch),
        sentinel("sentinel-1", WATCH),
        Observation("proxy", Role.PROXY, "h:9", Life.RUNNING, answers=proxy),
    ]


def test_ready() -> None:
    assert missing(lab()) == []


@pytest.mark.parametrize(
    ("observations", "fault"),
    [
        (lab(master=replace(MASTER, cluster_state="fail")), "node-0 says cluster_state:fail"),
        (lab(replica=replace(REPLICA, slots_ok=16383)), "node-1 sees 16383 of 16384 slots served"),
        (lab(replica=replace(REPLICA, link_up=False)), "node-1 is not in sync with its master h:1"),
        (lab(master=replace(MASTER, online_replicas=())), "node-0 does not count node-1 among its replicas yet"),
        (lab(watch=replace(WATCH, troubles=("s_down",))), "sentinel-0 sees shard-0 as s_down"),
        (lab(watch=replace(WATCH, replicas=())), "sentinel-0 does not reach shard-0's replica h:2 yet"),
        (lab(watch=replace(WATCH, sentinels=())), "sentinel-0 reaches 0 of 1 other sentinels for shard-0"),
        (lab(proxy=False), "proxy does not reach every shard"),
    ],
)
def test_one_thing_is_missing(observations: list[Observation], fault: str) -> None:
    assert missing(observations) == [fault]


@pytest.mark.parametrize(
    "watch", [replace(WATCH, troubles=("s_down",)), replace(WATCH, replicas=()), replace(WATCH, sentinels=())]
)
def test_what_sentinels_do_not_reach_yet_leaves_a_cluster_whole(watch: ShardWatch) -> None:
    assert missing(lab(watch=watch))
    assert unwell(lab(watch=watch)) == []


def test_whom_they_take_for_a_master_does_not() -> None:
    faults = unwell(lab(master=replace(MASTER, cluster_state="fail"), watch=replace(WATCH, address="h:2", replicas=())))
    assert faults == ["node-0 says cluster_state:fail", "sentinel-0 does not watch the master h:1"]


def test_a_sentinel_that_watches_the_wrong_address() -> None:
    faults = missing(lab(watch=replace(WATCH, address="h:2", replicas=())))
    assert faults == ["sentinel-0 does not watch the master h:1"]


def test_silence_and_death_are_told_with_their_reason() -> None:
    observations = lab()
    observations[1] = Observation("node-1", Role.NODE, "h:2", Life.RUNNING, silence="LOADING data")
    observations[4] = Observation("proxy", Role.PROXY, "h:9", Life.DEAD)
    assert missing(observations) == ["node-1 does not answer: LOADING data", "proxy is dead"]


def test_after_a_failover_the_new_roles_count() -> None:
    promoted = replace(MASTER, online_replicas=("h:1",))
    demoted = replace(REPLICA, master="h:2")
    watch = replace(WATCH, address="h:2", replicas=("h:1",))
    observations = [node("node-0", "h:1", demoted), node("node-1", "h:2", promoted)]
    observations += [sentinel("sentinel-0", watch), sentinel("sentinel-1", watch)]
    assert missing(observations) == []
