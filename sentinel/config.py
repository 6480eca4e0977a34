"""The configuration file: what it says, as data, and how data is said in it.

`understand` turns lines into a `Configuration`, or refuses one of them in Redis' words; `sentinel_lines` is the
other direction, for what a sentinel rewrites. The grammar is `runtime.settings`', where the file lies and how it is
replaced is `config_file.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from runtime.settings import Line
from runtime.tls import TLS_DIRECTIVES, TlsOptions, parse_directive
from sentinel.address import is_ip
from sentinel.foreign_directives import FOREIGN
from sentinel.settings import KnownReplica, KnownSentinel, MasterMemory, MasterOptions, Memory
from wire.acl.declared import check_last
from wire.table import CommandTable

# "nothing" is of 7.2.
LOG_LEVELS = ("debug", "verbose", "notice", "warning", "nothing")
_CHOICES = {
    "loglevel": LOG_LEVELS,
    "acl-pubsub-default": ("allchannels", "resetchannels"),
}
_NUMBERS = ("port", "tls-port", "maxclients", "tcp-backlog", "tcp-keepalive", "acllog-max-len")
_UNKNOWN = "Bad directive or wrong number of arguments"
_UNRECOGNIZED = "Unrecognized sentinel configuration statement."
_NO_MASTER = "No such master with specified name."


class ServerOptions(BaseModel):
    """What a sentinel shares with any Redis server; not rewritten, but for its users."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = 26379
    bind: tuple[str, ...] = ("*", "-::*")
    requirepass: str = ""
    # Users: `user` lines, each without that word, or a file of them. They are rewritten (`wire.acl`).
    users: tuple[tuple[str, ...], ...] = ()
    aclfile: str = ""
    # Old and new names (`rename-command`).
    renamed_commands: tuple[tuple[str, str], ...] = ()
    acl_pubsub_default: str = "resetchannels"
    acllog_max_len: int = 128
    logfile: str = ""
    loglevel: str = "notice"
    dir: str = "."
    maxclients: int = 10_000
    tcp_backlog: int = 511
    tcp_keepalive: int = 300
    tls_port: int = 0
    # `replication` says whether masters, replicas and other sentinels are spoken to with TLS.
    tls: TlsOptions = TlsOptions()

    @property
    def announced_port(self) -> int:
        """Where other sentinels reach this one, unless it is told otherwise."""
        return self.tls_port if self.tls.replication and self.tls_port else self.port


class Configuration(BaseModel):
    """A whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: ServerOptions
    # Its `my_id` is empty where the file holds none: the first start makes one.
    memory: Memory


class _RefusedError(Exception):
    """Why one line is wrong."""


def understand(lines: Iterable[Line], table: CommandTable) -> Configuration:
    """What the directives amount to; raises SettingsError. The commands of `table` get the names they are given."""
    reader = _Reader(table)
    about_masters: list[Line] = []
    for line in lines:
        if line.name == "sentinel":
            about_masters += [line] if line.words else []
        else:
            _read(line, reader.take_server, line.name)
    # A master must be known before anything is said about it, and how names are taken before the first master.
    for line in sorted(about_masters, key=_phase):
        _read(line, reader.take_sentinel, line.words[0].lower())
    return reader.result()


def _read(line: Line, take: Callable[[str, list[str]], None], directive: str) -> None:
    words = list(line.words)
    try:
        take(directive, words[1:] if line.name == "sentinel" else words)
    except _RefusedError as refusal:
        raise line.error(str(refusal)) from None


def _phase(line: Line) -> int:
    directive = line.words[0].lower()
    if directive in _GLOBAL:
        return 0
    return 1 if directive == "monitor" else 2


class _Reader:
    """What the lines read so far amount to."""

    def __init__(self, table: CommandTable) -> None:
        # With the names that commands have so far.
        self._table = table
        self.server: dict[str, object] = {}
        self.users: list[tuple[str, ...]] = []
        self.renamed: list[tuple[str, str]] = []
        self.tls: dict[str, Any] = {}
        self.memory: dict[str, object] = {}
        # By name: fields of `MasterMemory` and of `MasterOptions`.
        self.masters: dict[str, dict[str, object]] = {}
        self.options: dict[str, dict[str, object]] = {}
        self.replicas: dict[str, list[KnownReplica]] = {}
        self.sentinels: dict[str, list[KnownSentinel]] = {}

    def result(self) -> Configuration:
        masters = tuple(
            MasterMemory.model_validate(
                {
                    **fields,
                    "options": MasterOptions.model_validate(self.options[name]),
                    "replicas": tuple(self.replicas[name]),
                    "sentinels": tuple(self.sentinels[name]),
                }
            )
            for name, fields in self.masters.items()
        )
        memory = Memory.model_validate({"my_id": "", **self.memory, "masters": masters})
        server = ServerOptions.model_validate(
            {
                **self.server,
                "users": tuple(self.users),
                "renamed_commands": tuple(self.renamed),
                "tls": TlsOptions(**self.tls),
            }
        )
        return Configuration(server=server, memory=memory)

    def take_server(self, name: str, arguments: list[str]) -> None:
        if name in FOREIGN and arguments:
            return
        if name == "user" and arguments:
            self.users.append(tuple(arguments))
            try:
                check_last(self.users)
            except ValueError as error:
                raise _RefusedError(str(error)) from None
        elif name == "rename-command" and len(arguments) == 2:
            self.renamed.append((arguments[0], arguments[1]))
            try:
                self._table.rename(arguments[0], arguments[1])
            except ValueError as error:
                raise _RefusedError(str(error)) from None
        elif name == "bind" and arguments:
            self.server["bind"] = tuple(arguments)
        elif name in _NUMBERS and len(arguments) == 1:
            self.server[name.replace("-", "_")] = _port_like(arguments[0])
        elif name in _CHOICES and len(arguments) == 1:
            if arguments[0].lower() not in _CHOICES[name]:
                raise _RefusedError(f"argument(s) must be one of the following: {', '.join(_CHOICES[name])}")
            self.server[name.replace("-", "_")] = arguments[0].lower()
        elif name in ("requirepass", "logfile", "dir", "aclfile") and len(arguments) == 1:
            self.server[name] = arguments[0]
        elif name in TLS_DIRECTIVES and len(arguments) == 1:
            try:
                self.tls[TLS_DIRECTIVES[name]] = parse_directive(name, arguments[0])
            except ValueError as error:
                raise _RefusedError(str(error)) from None
        else:
            raise _RefusedError(_UNKNOWN)

    def take_sentinel(self, directive: str, arguments: list[str]) -> None:
        entry = _GLOBAL.get(directive) or _OF_MASTER.get(directive)
        if entry is None or len(arguments) not in entry[0]:
            raise _RefusedError(_UNRECOGNIZED)
        if directive in _OF_MASTER and directive != "monitor" and arguments[0] not in self.masters:
            raise _RefusedError(_NO_MASTER)
        entry[1](self, arguments)

    def take_monitor(self, name: str, host: str, port: str, quorum: str) -> None:
        if _lenient(quorum) <= 0:
            raise _RefusedError("Quorum must be 1 or greater.")
        if not 0 <= _lenient(port) <= 65535:
            raise _RefusedError("Invalid port number.")
        self._check_host(host)
        if name in self.masters:
            raise _RefusedError("Duplicate master name.")
        self.masters[name] = {"name": name, "host": host, "port": _lenient(port)}
        self.options[name] = {"quorum": _lenient(quorum)}
        self.replicas[name], self.sentinels[name] = [], []

    def take_replica(self, name: str, host: str, port: str) -> None:
        if not 0 <= _lenient(port) <= 65535:
            raise _RefusedError("Invalid port number.")
        self._check_host(host)
        self.replicas[name].append(KnownReplica(host=host, port=_lenient(port)))

    def take_peer(self, name: str, host: str, port: str, run_id: str | None = None) -> None:
        if run_id is None:
            # As old versions wrote it; such a sentinel is learned again from its first hello.
            return
        if any(known.run_id == run_id for known in self.sentinels[name]):
            raise _RefusedError("Duplicate runid for sentinel.")
        self._check_host(host)
        self.sentinels[name].append(KnownSentinel(host=host, port=_lenient(port), run_id=run_id))

    def take_rename(self, name: str, command: str, renamed: str) -> None:
        table = self.options[name].setdefault("renamed_commands", {})
        assert isinstance(table, dict)
        if command.lower() in table:
            raise _RefusedError("Same command renamed multiple times with rename-command.")
        table[command.lower()] = renamed

    def _check_host(self, host: str) -> None:
        if not is_ip(host) and self.memory.get("resolve_hostnames") is not True:
            raise _RefusedError("Can't resolve instance hostname.")


def _lenient(text: str) -> int:
    """A number as C's ``atoi`` reads it: what Redis does with most of a sentinel's numbers."""
    sign = text[:1] in ("-", "+")
    digits = text[sign:]
    length = next((at for at, digit in enumerate(digits) if digit not in "0123456789"), len(digits))
    value = int(digits[: min(length, 19)] or "0")
    return -value if text[:1] == "-" else value


def _port_like(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise _RefusedError("argument couldn't be parsed into an integer")
    return int(text)


def _time(option: str) -> Callable[[_Reader, list[str]], None]:
    def take(reader: _Reader, arguments: list[str]) -> None:
        if _lenient(arguments[1]) <= 0:
            raise _RefusedError("negative or zero time parameter.")
        reader.options[arguments[0]][option] = _lenient(arguments[1])

    return take


def _count(option: str) -> Callable[[_Reader, list[str]], None]:
    def take(reader: _Reader, arguments: list[str]) -> None:
        reader.options[arguments[0]][option] = max(0, _lenient(arguments[1]))

    return take


def _text(option: str) -> Callable[[_Reader, list[str]], None]:
    def take(reader: _Reader, arguments: list[str]) -> None:
        reader.options[arguments[0]][option] = arguments[1]

    return take


def _epoch(field: str) -> Callable[[_Reader, list[str]], None]:
    def take(reader: _Reader, arguments: list[str]) -> None:
        reader.masters[arguments[0]][field] = max(0, _lenient(arguments[1]))

    return take


def _yes_no(field: str, ending: str) -> Callable[[_Reader, list[str]], None]:
    def take(reader: _Reader, arguments: list[str]) -> None:
        if arguments[0].lower() not in ("yes", "no"):
            raise _RefusedError(f"Please specify yes or no for the {field.replace('_', '-')} {ending}.")
        reader.memory[field] = arguments[0].lower() == "yes"

    return take


def _own_text(field: str) -> Callable[[_Reader, list[str]], None]:
    def take(reader: _Reader, arguments: list[str]) -> None:
        reader.memory[field] = arguments[0] or None

    return take


def _own_number(field: str) -> Callable[[_Reader, list[str]], None]:
    def take(reader: _Reader, arguments: list[str]) -> None:
        reader.memory[field] = max(0, _lenient(arguments[0]))

    return take


def _my_id(reader: _Reader, arguments: list[str]) -> None:
    if len(arguments[0]) != 40:
        raise _RefusedError("Malformed Sentinel id in myid option.")
    reader.memory["my_id"] = arguments[0]


_Entry = tuple[tuple[int, ...], Callable[[_Reader, list[str]], None]]

# Directives about this sentinel itself: how many arguments, and what becomes of them.
_GLOBAL: dict[str, _Entry] = {
    "myid": ((1,), _my_id),
    "current-epoch": ((1,), _own_number("current_epoch")),
    "announce-ip": ((1,), _own_text("announce_ip")),
    "announce-port": ((1,), _own_number("announce_port")),
    "deny-scripts-reconfig": ((1,), _yes_no("deny_scripts_reconfig", "options")),
    "resolve-hostnames": ((1,), _yes_no("resolve_hostnames", "option")),
    "announce-hostnames": ((1,), _yes_no("announce_hostnames", "option")),
    "sentinel-user": ((1,), _own_text("sentinel_user")),
    "sentinel-pass": ((1,), _own_text("sentinel_pass")),
}
# Directives about one master, whose name comes first.
_OF_MASTER: dict[str, _Entry] = {
    "monitor": ((4,), lambda reader, arguments: reader.take_monitor(*arguments)),
    "down-after-milliseconds": ((2,), _time("down_after_ms")),
    "failover-timeout": ((2,), _time("failover_timeout_ms")),
    "parallel-syncs": ((2,), _count("parallel_syncs")),
    "master-reboot-down-after-period": ((2,), _count("reboot_down_after_ms")),
    "notification-script": ((2,), _text("notification_script")),
    "client-reconfig-script": ((2,), _text("client_reconfig_script")),
    "auth-pass": ((2,), _text("auth_pass")),
    "auth-user": ((2,), _text("auth_user")),
    "config-epoch": ((2,), _epoch("config_epoch")),
    "leader-epoch": ((2,), _epoch("leader_epoch")),
    "known-replica": ((3,), lambda reader, arguments: reader.take_replica(*arguments)),
    "known-slave": ((3,), lambda reader, arguments: reader.take_replica(*arguments)),
    "known-sentinel": ((3, 4), lambda reader, arguments: reader.take_peer(*arguments)),
    "rename-command": ((3,), lambda reader, arguments: reader.take_rename(*arguments)),
}


def sentinel_lines(memory: Memory) -> list[list[str]]:
    """Every ``sentinel`` line of the file, as words, and what SENTINEL CONFIG SET has changed beside them; defaults are
    left out as Redis does."""
    lines = [["myid", memory.my_id]]
    for master in memory.masters:
        lines += _master_lines(master)
    lines.append(["current-epoch", str(memory.current_epoch)])
    lines += [["announce-ip", memory.announce_ip]] if memory.announce_ip else []
    lines += [["announce-port", str(memory.announce_port)]] if memory.announce_port else []
    lines += [["deny-scripts-reconfig", "no"]] if not memory.deny_scripts_reconfig else []
    lines += [["resolve-hostnames", "yes"]] if memory.resolve_hostnames else []
    lines += [["announce-hostnames", "yes"]] if memory.announce_hostnames else []
    lines += [["sentinel-user", memory.sentinel_user]] if memory.sentinel_user else []
    lines += [["sentinel-pass", memory.sentinel_pass]] if memory.sentinel_pass else []
    own = [["loglevel", memory.loglevel]] if memory.loglevel else []
    return [["sentinel", *words] for words in lines] + own


def _master_lines(master: MasterMemory) -> list[list[str]]:
    name, options = master.name, master.options
    lines = [["monitor", name, master.host, str(master.port), str(options.quorum)]]
    valued: tuple[tuple[str, str | int | None, object], ...] = (
        ("down-after-milliseconds", options.down_after_ms, 30_000),
        ("failover-timeout", options.failover_timeout_ms, 180_000),
        ("parallel-syncs", options.parallel_syncs, 1),
        ("notification-script", options.notification_script, None),
        ("client-reconfig-script", options.client_reconfig_script, None),
        ("auth-pass", options.auth_pass, None),
        ("auth-user", options.auth_user, None),
        ("master-reboot-down-after-period", options.reboot_down_after_ms, 0),
        ("config-epoch", master.config_epoch, None),
        ("leader-epoch", master.leader_epoch, None),
    )
    lines += [[directive, name, str(value)] for directive, value, default in valued if value not in (default, None)]
    lines += [["known-replica", name, replica.host, str(replica.port)] for replica in master.replicas]
    lines += [["known-sentinel", name, peer.host, str(peer.port), peer.run_id] for peer in master.sentinels]
    lines += [["rename-command", name, command, renamed] for command, renamed in options.renamed_commands.items()]
    return lines
