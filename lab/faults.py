"""What can be done to a process or a host, and which driver can really do it: `faults.toml`, read and checked.

A driver must not pretend. Plain processes of one machine share its network, its disk and its clocks, so a cut between
two of them is not theirs to make; whoever asks for one is told so by name, and which driver can.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from sim.faults import Kind


class World(StrEnum):
    """Where a cluster runs, and so who strikes it."""

    SIM = "sim"
    PROCESSES = "processes"


class Fault(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # What happens, and what happens when it is over.
    what: str
    ends: str
    drivers: tuple[World, ...]
    # It lies between hosts: it has two sides.
    links: bool = False
    # What its number means; empty when it has none.
    amount: str = ""


@cache
def faults() -> dict[Kind, Fault]:
    """Every fault by its name, in the file's order."""
    data = tomllib.loads((Path(__file__).parent / "faults.toml").read_text(encoding="utf-8"))
    return TypeAdapter(dict[Kind, Fault]).validate_python(data)


def refusal(kind: Kind, world: World) -> str:
    """Why that world's driver cannot do it, for people; empty when it can."""
    drivers = faults()[kind].drivers
    if world in drivers:
        return ""
    return f"'{kind}' cannot be done to {_WHOM[world]}; --world {' or '.join(drivers)} can"


_WHOM = {World.SIM: "simulated hosts", World.PROCESSES: "plain processes of one machine"}
