"""The table of a lab's processes, as `up` shows it live and `status` prints it once.

It keeps whole what a reader types or compares: on a narrow screen columns go that tell least, and long lists of slots
and long troubles go on in a second line.
"""

from __future__ import annotations

from typing import Literal

from rich.table import Table
from rich.text import Text

from lab.drivers.process import Life
from lab.lab_file import Lab
from lab.observe import NodeView, Observation, ShardWatch
from lab.topology import Role

_STATE_STYLE = {"running": "green", "paused": "yellow", "silent": "yellow", "dead": "bold red"}
_COLUMNS = ("name", "port", "pid", "state", "role", "slots", "epoch", "link", "offset", "keys")
_NUMBERS = ("port", "pid", "epoch", "offset", "keys")
# What a narrow screen can do without, first to go first.
_SPARE = ("offset", "epoch", "pid")
# What may go on in a second line when it is longer than this, which a healthy lab's are not.
_LONG = ("slots", "link")
_FOLDED = 16
# Between two columns, as rich has it.
_GAP = 2


def table(lab: Lab, observations: list[Observation], width: int) -> Table:
    """A row for every process, in the order of lab.json, on a screen of so many columns."""
    names = {seen.address: seen.name for seen in observations}
    rows = []
    for entry, seen in zip(lab.processes, observations, strict=True):
        pid = str(entry.pid) if entry.pid and seen.life is not Life.DEAD else "-"
        cells = (entry.name, str(entry.port), pid, seen.state, *_details(seen, names))
        rows.append(dict(zip(_COLUMNS, cells, strict=True)))
    columns = _fitting(rows, width)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in _NUMBERS else "left"
        shown.add_column(column, justify=justify, no_wrap=column not in _LONG, overflow="fold")
    for row in rows:
        state = Text(row["state"], style=_STATE_STYLE[row["state"]])
        shown.add_row(*(state if column == "state" else row[column] for column in columns))
    return shown


def _fitting(rows: list[dict[str, str]], width: int) -> list[str]:
    """The columns that there is room for when long cells are folded."""
    columns = list(_COLUMNS)
    for spare in _SPARE:
        widths = [max(len(column), *(_room(column, row[column]) for row in rows)) for column in columns]
        if sum(widths) + _GAP * (len(columns) - 1) <= width:
            break
        columns.remove(spare)
    return columns


def _room(column: str, cell: str) -> int:
    return min(len(cell), _FOLDED) if column in _LONG else len(cell)


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
    if troubles:
        return ", ".join(troubles)
    return f"{len(watches)} master{'' if len(watches) == 1 else 's'} well"
