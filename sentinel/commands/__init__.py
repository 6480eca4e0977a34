"""The sentinel's commands, one module per family; the table is made of an explicit list."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from sentinel.commands import observe, operate, options, server, shared
from wire.commands import acl, client, command
from wire.table import CommandTable

MODULES: tuple[ModuleType, ...] = (observe, operate, options, server, shared, acl, client, command)


def command_table(renamed: Iterable[tuple[str, str]] = ()) -> CommandTable:
    """All commands, some by other names (`rename-command`); raises ValueError in Redis' words."""
    table = CommandTable(MODULES, lambda spec: 0)
    for old, new in renamed:
        table.rename(old, new)
    return table
