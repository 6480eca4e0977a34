"""A scenario file: the cluster, its clients, the faults, and what is expected of it all; read and checked.

The file is TOML. It says nothing about where the cluster runs: the same file is for real processes and for the
simulator, as far as the faults that it asks for can be done there (`lab.faults`). Whoever is to be struck is named by
seat (`node-0`, `sentinel-1`, and `client-0` as one side of a cut) or by the role that it has at that moment (`master of
shard-0`, `replica of shard-1`).
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lab.errors import LabError
from lab.faults import World, faults, refusal
from lab.topology import Topology
from sim.faults import Kind
from sim.shape import Shape

# The files that come with the project.
SHIPPED = Path(__file__).parent.parent / "scenarios"

_SEAT = re.compile(r"(node|sentinel|client)-(\d+)")
ROLE = re.compile(r"(master|replica) of shard-(\d+)")


class ScenarioError(LabError):
    """The file cannot be used, or not there."""


def _whom(text: str) -> str:
    if not _SEAT.fullmatch(text) and not ROLE.fullmatch(text):
        raise ValueError(
            f"'{text}' is nobody: name a seat (node-0, sentinel-0, client-0) or a role "
            "(master of shard-0, replica of shard-0)"
        )
    return text


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


# Whom a fault strikes; one may stand without brackets.
Whom = Annotated[tuple[Annotated[str, AfterValidator(_whom)], ...], BeforeValidator(_several)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )


class Cluster(_Part):
    """How many of what, and who replaces a dead master."""

    masters: int = 3
    # Replicas of each master.
    replicas: int = 1
    # Three, unless the cluster fails over by itself.
    sentinels: int | None = None
    failover: Literal["sentinel", "cluster"] = "sentinel"
    down_after_milliseconds: int = 500
    # More directives for every node's redis.conf.
    directives: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            self.topology()
        except ValidationError as error:
            # The rules are Topology's; its words must do.
            first = error.errors()[0]
            place = f"{first['loc'][0]}: " if first["loc"] else ""
            raise ValueError(place.replace("_", "-") + first["msg"].removeprefix("Value error, ")) from None
        return self

    def topology(self, port_base: int = 7000) -> Topology:
        """The cluster as real processes."""
        return Topology(
            masters=self.masters,
            replicas=self.replicas,
            sentinels=self._sentinels,
            proxy=False,
            failover=self.failover,
            port_base=port_base,
            down_after_ms=self.down_after_milliseconds,
            directives=self.directives,
        )

    def shape(self) -> Shape:
        """The cluster as simulated hosts."""
        return Shape(
            masters=self.masters,
            replicas=self.replicas,
            sentinels=self._sentinels,
            failover=self.failover,
            down_after_ms=self.down_after_milliseconds,
            directives=self.directives,
        )

    @property
    def _sentinels(self) -> int:
        if self.sentinels is not None:
            return self.sentinels
        return 3 if self.failover == "sentinel" else 0


class Clients(_Part):
    """Who uses the cluster meanwhile, and how (`lab.workload.Plan`)."""

    clients: int = Field(default=4, ge=1, le=100)
    # Operations of each a second, if it is answered at once.
    rate: float = Field(default=25.0, gt=0, le=1000)
    # Of all operations, how many write a key of their own, which shows at the end whether it was lost; and of the
    # others, how many read.
    once: float = Field(default=0.4, ge=0, le=1)
    reads: float = Field(default=0.4, ge=0, le=1)
    # Shared keys of each kind in each shard.
    registers: int = Field(default=2, ge=0, le=100)
    counters: int = Field(default=1, ge=0, le=100)
    sets: int = Field(default=0, ge=0, le=100)
    # How long a client tries again what was definitely not executed, before it takes that for its answer.
    patience: float = Field(default=0.2, gt=0, le=60)
    # A node that owes an answer for so long is given up: nobody knows whether it did what it was asked.
    silence: float = Field(default=0.5, gt=0, le=60)

    @model_validator(mode="after")
    def _something_to_use(self) -> Self:
        if not self.registers + self.counters + self.sets:
            raise ValueError("without registers, counters and sets there is nothing to use")
        return self


class Strike(_Part):
    """One fault: when, what, to whom, how long."""

    # In seconds from the moment when the clients begin.
    at: float = Field(ge=0)
    kind: Kind
    whom: Whom
    # The other side of a fault that lies between hosts; nobody named: everybody else.
    others: Whom = ()
    # Until the scenario's end, if not said.
    lasting: float | None = Field(default=None, gt=0)
    amount: float = 0.0

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        fault = faults()[self.kind]
        if not self.whom:
            raise ValueError("'whom' names nobody")
        if self.others and not fault.links:
            raise ValueError(f"'{self.kind}' has no other side: leave out 'others'")
        if bool(fault.amount) != bool(self.amount):
            wants = f"needs an amount: {fault.amount}" if fault.amount else "has no amount"
            raise ValueError(f"'{self.kind}' {wants}")
        if not fault.links and (client := next((who for who in self.whom if who.startswith("client")), None)):
            raise ValueError(f"'{self.kind}' cannot strike {client}: clients can only be cut off")
        return self


class Expected(_Part):
    """What must come of it."""

    # Every shard must be served again within so many seconds of every fault; it must always be served at the end.
    service_within: float | None = Field(default=None, gt=0)
    # none: no acknowledged write may be gone. window: none but those that asynchronous replication may lose, shortly
    # before a fault. some: that writes are lost is what the scenario shows.
    lost_writes: Literal["none", "window", "some"] = "window"
    # How long before a fault a write may have been acknowledged and yet be lost.
    window: float = Field(default=0.25, ge=0)
    # Up to how long after a fault: a master that was replaced without noticing goes on acknowledging. If not said, none
    # may be lost that was acknowledged after the failover.
    window_after: float | None = Field(default=None, ge=0)
    # Failovers, if their number matters.
    failovers: int | None = Field(default=None, ge=0)
    # Who is master at the end, by shard.
    masters: dict[str, str] = Field(default_factory=dict)


class Scenario(_Part):
    """The whole file."""

    summary: str
    # What to look at, for those who run it to learn something.
    lesson: str = ""
    # For how long the clients work, in seconds. Then what is still broken is mended, and everything is read once more.
    duration: float = Field(gt=0, le=3600)
    cluster: Cluster = Cluster()
    workload: Clients = Clients()
    faults: tuple[Strike, ...]
    expect: Expected = Expected()
    # The file's name without its ending.
    name: str = ""

    @model_validator(mode="after")
    def _everybody_exists(self) -> Self:
        if not self.faults:
            raise ValueError("faults: there are none; a run in which nothing strikes shows nothing")
        for number, fault in enumerate(self.faults):
            if fault.at >= self.duration:
                raise ValueError(f"faults.{number}: strikes at {fault.at:g} s, when the scenario is over")
            for who in (*fault.whom, *fault.others):
                if not self._exists(who):
                    raise ValueError(f"faults.{number}: there is no {who} in this cluster")
        for shard, node in self.expect.masters.items():
            if not self._exists(f"master of {shard}") or not self._exists(node):
                raise ValueError(f"expect.masters: there is no {shard} with {node} in this cluster")
        return self

    def _exists(self, who: str) -> bool:
        topology = self.cluster.topology()
        role, seat = ROLE.fullmatch(who), _SEAT.fullmatch(who)
        if role is not None:
            return int(role[2]) < topology.masters and (role[1] == "master" or topology.replicas > 0)
        sizes = {"node": topology.nodes, "sentinel": topology.sentinels, "client": self.workload.clients}
        return seat is not None and int(seat[2]) < sizes[seat[1]]

    def refusals(self, world: World) -> list[str]:
        """The faults that cannot be done in that world, each a sentence."""
        reasons = [(number, refusal(fault.kind, world)) for number, fault in enumerate(self.faults)]
        return [f"faults.{number}: {reason}" for number, reason in reasons if reason]

    @property
    def worlds(self) -> list[World]:
        """Where it can run."""
        return [world for world in World if not self.refusals(world)]


def load(name: str) -> Scenario:
    """The scenario in a file, or the shipped one of that name; raises ScenarioError."""
    path = Path(name)
    if not path.exists() and (SHIPPED / f"{name}.toml").exists():
        path = SHIPPED / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Scenario.model_validate({**data, "name": path.stem})
    except FileNotFoundError:
        raise ScenarioError(
            f"there is no file {name}, and no scenario of that name; see: shardlab chaos list"
        ) from None
    except OSError as error:
        raise ScenarioError(f"{name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from None
    except ValidationError as error:
        raise ScenarioError("\n".join(f"{path}: {_complaint(dict(one))}" for one in error.errors())) from None


def shipped() -> list[Scenario]:
    """The scenarios that come with the project, by name."""
    return [load(str(path)) for path in sorted(SHIPPED.glob("*.toml"), key=lambda path: path.stem)]


def _complaint(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    text = "unknown setting" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text
