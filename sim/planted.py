"""Bugs that are planted on purpose, to see that the simulator finds them.

Each is a program that breaks one rule: a safeguard is taken away, or a sync is forgotten. No setting of the product
leads here; `shardlab sim ... --plant NAME` does, for those who want to see what a rule is for, and `tests/sim` demands
that each is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from node.node import Node
from sentinel.sentinel import Sentinel
from sim.cluster import SimCluster
from sim.shape import FOLDER

Plant = Callable[[SimCluster], None]


def _without(*, node: dict[str, bool] | None = None, sentinel: dict[str, bool] | None = None) -> Plant:
    """Nodes and sentinels without some of their safeguards."""

    def settle(inside: Node | Sentinel) -> None:
        if isinstance(inside, Sentinel):
            inside.machine.safeguards = replace(inside.machine.safeguards, **(sentinel or {}))
        elif inside.cluster is not None:
            machine = inside.cluster.machine
            machine.safeguards = replace(machine.safeguards, **(node or {}))

    def plant(cluster: SimCluster) -> None:
        for seat in cluster.seats.values():
            seat.on_birth = settle

    return plant


def _reply_before_log(cluster: SimCluster) -> None:
    """Nodes that were told to sync their log before they answer, and sync it once a second."""

    def settle(inside: Node | Sentinel) -> None:
        if isinstance(inside, Node):
            inside.settings.appendfsync = "everysec"

    for seat in cluster.seats.values():
        seat.on_birth = settle


def _forgetting(forgets: Callable[[str], bool]) -> Plant:
    """Programs that forget to sync what is at some paths."""

    def plant(cluster: SimCluster) -> None:
        for seat in cluster.seats.values():
            seat.host.disk.forgets = forgets

    return plant


BUGS: dict[str, Plant] = {
    # Voting before nodes.conf, or the sentinel's state, is on the platter.
    "unsynced-vote": _forgetting(lambda path: path.startswith((f"{FOLDER}/nodes.conf", f"{FOLDER}/sentinel.conf"))),
    # Answering before the log is synced. Shows with `--directive 'appendonly yes' --directive 'appendfsync always'`.
    "reply-before-log": _reply_before_log,
    # Giving a file its final name, and not syncing the folder.
    "unsynced-rename": _forgetting(lambda path: path == FOLDER),
    # A master that was stopped takes commands, and answers reads, before it has heard that it was replaced.
    "serve-on-waking": _without(node={"wait_before_serving": False}),
    # A master that goes on serving when it sees only a minority, which may have replaced it.
    "serve-in-minority": _without(node={"minority_stops_serving": False}),
    # A master that has lost its slots and does not follow the one that has them.
    "never-step-down": _without(node={"step_down_when_replaced": False}),
    # A master that votes twice in an epoch. Shows where two replicas stand at the same time (`--replicas 3 --rate 1
    # --faults kill,slow-link`).
    "vote-twice": _without(node={"vote_once_per_epoch": False}),
    # The same of a sentinel.
    "sentinel-votes-twice": _without(sentinel={"vote_once_per_epoch": False}),
    # Of several replicas the one that lags most stands first, or is chosen by the sentinels. Shows with `--replicas 2
    # --faults kill,cut`.
    "worst-replica": _without(node={"most_data_first": False}),
    "sentinel-picks-worst": _without(sentinel={"most_data_first": False}),
    # A returning master takes its slots back from its successor.
    "take-slots-back": _without(node={"reject_stale_slot_claims": False}),
}
