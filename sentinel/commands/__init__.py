"""The sentinel's commands, one module per family; the table is made of an explicit list."""

from __future__ import annotations

from types import ModuleType

from sentinel.commands import info, observe, operate, options, server, shared
from wire.commands import acl, client, command
from wire.table import CommandTable

MODULES: tuple[ModuleType, ...] = (info, observe, operate, options, server, shared, acl, client, command)


def command_table() -> CommandTable:
    """All commands."""
    return CommandTable(MODULES, lambda spec: 0)
