"""The sentinel's commands, one module per family; the table is made of this explicit list."""

from __future__ import annotations

from types import ModuleType

from sentinel.commands import observe, operate, options, server, shared
from wire.commands import acl, client, command

MODULES: tuple[ModuleType, ...] = (observe, operate, options, server, shared, acl, client, command)
