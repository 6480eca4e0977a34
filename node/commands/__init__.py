"""The node's commands, one module per family; the table is made of this explicit list."""

from __future__ import annotations

from types import ModuleType

from node.commands import strings

MODULES: tuple[ModuleType, ...] = (strings,)
