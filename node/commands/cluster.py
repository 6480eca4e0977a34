"""CLUSTER's operators' side: the subcommands that change something. What they show is in `cluster_view`.

A handler parses words and numbers, as far as Redis does before it looks at the cluster, and hands a command to the
rules, which refuse or perform it. All of them refuse on a node that is not in cluster mode.
"""

from __future__ import annotations

from cluster.events import (
    AddSlots,
    BumpEpoch,
    Command,
    DelSlots,
    Failover,
    FailoverMode,
    FlushSlots,
    Forget,
    Meet,
    Refused,
    Replicate,
    Reset,
    SaveConfig,
    SetConfigEpoch,
    SetSlotImporting,
    SetSlotMigrating,
    SetSlotNode,
    SetSlotStable,
)
from cluster.slots import SLOTS
from node.call import Call
from node.clustering import Clustering
from wire.command import ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NOSCRIPT, STALE, command, container
from wire.errors import SYNTAX, Error
from wire.reply import OK, Reply, Simple

DISABLED = b"ERR This instance has cluster support disabled"
