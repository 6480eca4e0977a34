"""The proxy's settings: its command line, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from proxy.slot_map import Address, parse_address
from runtime.tls import TLS_DIRECTIVES, TlsOptions, parse_directive


class UsageError(Exception):
    """The command line is wrong; one line that says where."""


class ProxySettings(BaseModel):
    """Every option; fields are options with underscores for dashes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Where the cluster is: any of its nodes.
    nodes: tuple[Address, ...]
    port: int = Field(default=7200, ge=0, le=65535)
    # Where clients are served with TLS; 0: nowhere.
    tls_port: int = Field(default=0, ge=0, le=65535)
    # The options `tls-…`, as redis.conf has them; `cluster` says whether the nodes are spoken to with TLS.
    tls: TlsOptions = TlsOptions()
    bind: tuple[str, ...] = ("127.0.0.1", "-::1")
    # What clients must AUTH with; without it their credentials are passed on to the nodes.
    requirepass: str = ""
    # What the proxy itself tells the nodes.
    user: str = ""
    password: str = ""
    # Connections to each node, shared by all clients of one protocol.
    connections: int = Field(default=1, ge=1, le=64)
    maxclients: int = Field(default=10000, ge=1)
    # How long a request that nobody can serve is held, before its client gets an error.
    hold_timeout_ms: int = Field(default=5000, ge=0)
    # How long a node may owe a reply before its connection is given up.
    node_timeout_ms: int = Field(default=5000, ge=1)
    tcp_keepalive: int = Field(default=300, ge=0)
    loglevel: str = Field(default="notice", pattern="^(debug|verbose|notice|warning)$")
    logfile: str = ""

    @field_validator("nodes", mode="before")
    @classmethod
    def _read_nodes(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        nodes = tuple(parse_address(word) for word in value.replace(",", " ").split())
        if not nodes:
            raise ValueError("names no node")
        return nodes

    @field_validator("bind", mode="before")
    @classmethod
    def _read_bind(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) or ("*",) if isinstance(value, str) else value


_FIELDS = [name for name in ProxySettings.model_fields if name != "tls"]


def parse_arguments(argv: Sequence[str]) -> ProxySettings:
    """The settings that ``--option value ...`` means; raises UsageError."""
    given: dict[str, str] = {}
    tls: dict[str, Any] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        field = name.replace("-", "_")
        if not word.startswith("--") or not (field in _FIELDS or name in TLS_DIRECTIVES):
            raise UsageError(f"unknown option '{word}'; see shardlab proxy --help")
        if not equals:
            # An option takes one word, `bind` as many as there are: it is the one whose values begin with a dash.
            many = field in ("bind", "nodes")
            values: list[str] = []
            while words and not words[0].startswith("--") and (many or not values):
                values.append(words.pop(0))
            if not values:
                raise UsageError(f"--{name} needs a value")
            value = " ".join(values)
        if name in TLS_DIRECTIVES:
            try:
                tls[TLS_DIRECTIVES[name]] = parse_directive(name, value)
            except ValueError as error:
                raise UsageError(f"--{name} {value!r}: {error}") from None
        else:
            given[field] = value
    if "nodes" not in given:
        raise UsageError("--nodes host:port[,host:port ...] is needed: any nodes of the cluster")
    try:
        settings = ProxySettings.model_validate({**given, "tls": TlsOptions(**tls)})
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-") if first["loc"] else "?"
        reason = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"--{option} {given.get(option.replace('-', '_'), '')!r}: {reason}") from None
    if not settings.port and not settings.tls_port:
        raise UsageError("--port 0 without --tls-port: nowhere to listen")
    return settings
