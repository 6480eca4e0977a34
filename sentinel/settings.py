"""What a sentinel remembers across a restart, as data.

The machine is built from a `Memory`, and every `Save` effect carries the next one: the configuration
file is nothing but its text form (`config.py`), so "restart" is the same thing in a test as on a host.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MasterOptions(_Frozen):
    """What an operator sets for one master, by file or by SENTINEL SET."""

    quorum: int = Field(ge=1)
    down_after_ms: int = Field(default=30_000, ge=1)
    failover_timeout_ms: int = Field(default=180_000, ge=1)
    parallel_syncs: int = 1
    auth_user: str | None = None
    auth_pass: str | None = None
    notification_script: str | None = None
    client_reconfig_script: str | None = None
    reboot_down_after_ms: int = 0
    # What a command is called on the instances of this master, by its usual name in lower case.
    renamed_commands: dict[str, str] = Field(default_factory=dict)


class KnownReplica(_Frozen):
    host: str
    port: int


class KnownSentinel(_Frozen):
    host: str
    port: int
    run_id: str


class MasterMemory(_Frozen):
    """One monitored master and what was learned about it."""

    name: str
    host: str
    port: int
    options: MasterOptions
    # The epoch of the failover that made this address the master.
    config_epoch: int = 0
    # The last epoch in which a vote was given for a failover of this master.
    leader_epoch: int = 0
    replicas: tuple[KnownReplica, ...] = ()
    sentinels: tuple[KnownSentinel, ...] = ()


class Memory(_Frozen):
    """Everything that survives a restart."""

    # 40 hex digits; made at the first start and kept for ever, because votes are counted by it.
    my_id: str
    current_epoch: int = 0
    announce_ip: str | None = None
    announce_port: int = 0
    resolve_hostnames: bool = False
    announce_hostnames: bool = False
    deny_scripts_reconfig: bool = True
    sentinel_user: str | None = None
    sentinel_pass: str | None = None
    # As SENTINEL CONFIG SET has it; None: as the file had it at the start.
    loglevel: str | None = None
    masters: tuple[MasterMemory, ...] = ()
