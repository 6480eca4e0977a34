"""The node's commands, one module per family; the table is made of this explicit list."""

from __future__ import annotations

from types import ModuleType

from node.commands import (
    cluster,
    cluster_help,
    cluster_session,
    cluster_view,
    config,
    connection,
    counters,
    databases,
    debug,
    dump,
    expire,
    keys,
    memory,
    objects,
    persistence,
    replication,
    scan,
    server,
    slowlog,
    strings,
    substrings,
    transactions,
)
from wire.commands import client, command, pubsub, tracking
from wire.commands import connection as wire_connection

MODULES: tuple[ModuleType, ...] = (
    strings,
    counters,
    substrings,
    keys,
    expire,
    databases,
    scan,
    objects,
    dump,
    transactions,
    wire_connection,
    client,
    tracking,
    connection,
    config,
    server,
    debug,
    slowlog,
    memory,
    pubsub,
    command,
    cluster,
    cluster_help,
    cluster_session,
    cluster_view,
    persistence,
    replication,
)
