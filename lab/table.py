"""The table of a lab's processes, as `up` shows it live and `status` prints it once."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from lab.drivers.process import Life
from lab.lab_file import Lab
from lab.observe import NodeView, Observation, ShardWatch
from lab.topology import Role

_STATE_STYLE = {"running": "green", "paused": "yellow", "silent": "yellow", "dead": "bold red"}
_COLUMNS = ("name", "port", "pid", "state", "role", "slots", "epoch", "link", "offset", "keys")
_NUMBERS = ("port", "pid", "epoch", "offset", "keys")


def table(lab: Lab, observations: list[Observation]) -> Table:
    """A row for every process, in the order of lab.json."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        shown.add_column(column, justify="right" if column in _NUMBERS else "left", no_wrap=True)
    names = {seen.address: seen.name for seen in observations}
    for entry, seen in zip(lab.processes, observations, strict=True):
        pid = str(entry.pid) if entry.pid and seen.life is not Life.DEAD else "-"
        state = Text(seen.state, style=_STATE_STYLE[seen.state])
        shown.add_row(entry.name, str(entry.port), pid, state, *_details(seen, names))
    return shown


def _details(seen: Observation, names: dict[str, str]) -> list[str]:
    """Role, slots, epoch, link, offset and keys of one process."""
    if seen.node is not None:
        return _node_details(seen.node, names)
    role = "" if seen.role is Role.NODE else seen.role.value
    if seen.silence:
        link = seen.silence
    elif seen.role is Role.SENTINEL and seen.life is Life.RUNNING:
        link = _watching(seen.watches)
    else:
        link = ""
    return [role, "", "", link, "", ""]


def _node_details(node: NodeView, names: dict[str, str]) -> list[str]:
    if node.role == "master":
        link = f"{len(node.online_replicas)} in sync"
    else:
        link = f"{names.get(node.master, node.master)} {'up' if node.link_up else 'down'}"
    slots = " ".join(str(first) if first == last else f"{first}-{last}" for first, last in node.slots)
    role = "M" if node.role == "master" else "S"
    return [
        role,
        slots,
        str(node.epoch),
        link,
        str(node.offset),
        str(node.keys) if node.role == "master" else f"({node.keys})",
    ]


def _watching(watches: tuple[ShardWatch, ...]) -> str:
    troubles = [f"{watch.name}: {' '.join(watch.troubles)}" for watch in watches if watch.troubles]
    return ", ".join(troubles) if troubles else f"{len(watches)} masters well"
