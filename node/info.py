"""INFO: the node described in sections, with Redis 7.0's field names in its order.

`SECTIONS` says which sections there are, and which parts of a node each describes; what is in them is written in
`info_sections` and where the parts are (`node.replication.info`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node import info_sections as sections
from node.info_sections import Fields
from node.memory.report import memory as memory_section
from node.persistence.info import info as persistence_section
from node.replication.info import info as replication_section

if TYPE_CHECKING:
    from node.node import Node


@dataclass(frozen=True, slots=True)
class Section:
    """One section of INFO."""

    title: str
    build: Callable[[Node], Fields]
    # Shown when no section is asked for.
    default: bool = True


def render(node: Node, wanted: list[str]) -> str:
    """The text of INFO with these arguments (lower case); what is not known is left out, as in Redis."""
    if not wanted or "default" in wanted:
        chosen = [name for name, section in SECTIONS.items() if section.default or name in wanted]
    else:
        chosen = [name for name in SECTIONS if name in wanted]
    if "all" in wanted or "everything" in wanted:
        chosen = list(SECTIONS)
    blocks = []
    for name in chosen:
        section = SECTIONS[name]
        lines = [f"# {section.title}"] + [f"{field}:{value}" for field, value in section.build(node)]
        blocks.append("".join(f"{line}\r\n" for line in lines))
    return "\r\n".join(blocks)


def _sections() -> dict[str, Section]:
    """By name, in Redis' order: which parts of a node each section describes."""
    return {
        "server": Section("Server", sections.server),
        "clients": Section(
            "Clients",
            lambda node: sections.clients(node, node.clients),
        ),
        "memory": Section("Memory", memory_section),
        "persistence": Section(
            "Persistence", lambda node: persistence_section(node.saver, node.append_only, node.loader, node.child)
        ),
        "stats": Section(
            "Stats", lambda node: sections.stats(node, node.traffic, node.keyspace, node.expiry, node.broker)
        ),
        "replication": Section("Replication", lambda node: replication_section(node.replication, node.settings)),
        "cpu": Section("CPU", lambda node: sections.cpu(node.runtime)),
        "modules": Section("Modules", lambda node: []),
        "commandstats": Section("Commandstats", lambda node: sections.command_stats(node.table), default=False),
        "errorstats": Section("Errorstats", lambda node: sections.error_stats(node.errors.counts)),
        "latencystats": Section(
            "Latencystats", lambda node: sections.latency_stats(node.table, node.settings), default=False
        ),
        "cluster": Section("Cluster", lambda node: [("cluster_enabled", int(node.settings.cluster_enabled))]),
        "keyspace": Section("Keyspace", lambda node: sections.keyspace(node.keyspace)),
    }


SECTIONS = _sections()
