"""SENTINEL SET and SENTINEL CONFIG: options of one master, and of this sentinel."""

from __future__ import annotations

from collections.abc import Callable

from runtime import Level
from runtime.settings import to_bytes
from sentinel.call import Call, at_least
from sentinel.config import LOG_LEVELS
from sentinel.events import Reconfigure, ReconfigureSelf
from sentinel.settings import MasterOptions
from wire.command import ADMIN, command
from wire.errors import Error
from wire.glob import matches
from wire.reply import OK, Reply

_SCRIPTS_DENIED = (
    b"ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig"
    b" configuration directive in your Sentinel configuration"
)
# Options of SENTINEL SET with a number: the field, and the least that is accepted.
_NUMBERS = {
    "down-after-milliseconds": ("down_after_ms", 1),
    "failover-timeout": ("failover_timeout_ms", 1),
    "parallel-syncs": ("parallel_syncs", 1),
    "quorum": ("quorum", 1),
    "master-reboot-down-after-period": ("reboot_down_after_ms", 0),
}
_TEXTS = {"auth-pass": "auth_pass", "auth-user": "auth_user"}
_SCRIPTS = {"notification-script": "notification_script", "client-reconfig-script": "client_reconfig_script"}


@command(
    "SENTINEL|SET",
    arity=-5,
    flags=ADMIN,
    group="sentinel",
    since="2.8.4",
    complexity="O(1)",
    summary="Change the configuration of a monitored master",
    syntax="master-name option value [option value ...]",
)
def set_(call: Call) -> Reply:
    """Options before one that is refused stay set, as in Redis."""
    owner = call.master()
    options = owner.options
    changes: list[tuple[str, str]] = []
    refusal: Error | None = None
    at = 3
    while at < len(call.argv) and refusal is None:
        try:
            options, words = _with(call, options, at)
        except Error as error:
            refusal = error
        else:
            shown = ["******"] if call.text(at).lower() == "auth-pass" else words
            changes.append((call.text(at), " ".join(shown)))
            at += 1 + len(words)
    if changes:
        call.order(Reconfigure(owner.name, options, tuple(changes)))
    if refusal is not None:
        raise refusal
    return OK


def _with(call: Call, options: MasterOptions, at: int) -> tuple[MasterOptions, list[str]]:
    """The options after the change that argument `at` begins, and the words of its value."""
    name = call.text(at).lower()
    count = 2 if name == "rename-command" else 1
    words = [call.text(index) for index in range(at + 1, min(at + 1 + count, len(call.argv)))]
    if len(words) < count or name not in (*_NUMBERS, *_TEXTS, *_SCRIPTS, "rename-command"):
        raise Error(b"ERR Unknown option or number of arguments for SENTINEL SET '%b'" % call.argv[at])
    value: object
    if name in _NUMBERS:
        field, least = _NUMBERS[name]
        refusal = b"ERR Invalid argument '%b' for SENTINEL SET '%b'" % (call.argv[at + 1], call.argv[at])
        value = at_least(call.argv[at + 1], least, refusal)
    elif name in _SCRIPTS:
        if call.knowledge.memory.deny_scripts_reconfig:
            raise Error(_SCRIPTS_DENIED)
        if words[0] and not call.sentinel.process.may_run(words[0]):
            what = b"Notification" if name == "notification-script" else b"Client reconfiguration"
            raise Error(b"ERR %b script seems non existing or non executable" % what)
        field, value = _SCRIPTS[name], words[0] or None
    elif name in _TEXTS:
        field, value = _TEXTS[name], words[0] or None
    else:
        old, new = words
        field, value = "renamed_commands", {**options.renamed_commands, old.lower(): new}
        if old == new:
            del value[old.lower()]
    return options.model_copy(update={field: value}), words


_Value = str | int | bool | None


def _yes_no(text: str) -> bool | None:
    return {"yes": True, "no": False}.get(text.lower())


def _shown(value: _Value) -> bytes:
    if isinstance(value, bool):
        return b"yes" if value else b"no"
    return to_bytes("" if value is None else str(value))


def _port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < 65536 else None


def _level(text: str) -> str | None:
    return text.lower() if text.lower() in LOG_LEVELS else None


# Options of SENTINEL CONFIG: the field of `Memory`, and what reads a value (None: refused).
_OWN: dict[str, tuple[str, Callable[[str], _Value]]] = {
    "resolve-hostnames": ("resolve_hostnames", _yes_no),
    "announce-hostnames": ("announce_hostnames", _yes_no),
    "announce-ip": ("announce_ip", str),
    "announce-port": ("announce_port", _port),
    "sentinel-user": ("sentinel_user", str),
    "sentinel-pass": ("sentinel_pass", str),
    "loglevel": ("loglevel", _level),
}


@command(
    "SENTINEL|CONFIG",
    arity=-4,
    flags=ADMIN,
    group="sentinel",
    since="6.2.0",
    complexity="O(N) when N is the number of configuration parameters provided",
    summary="Configures Redis Sentinel.",
    syntax="<SET parameter value [parameter value ...] | GET parameter [parameter ...]>",
    history=(("7.2.0", "Added the ability to set and get multiple parameters in one call."),),
)
def config(call: Call) -> Reply:
    action = call.argv[2].lower()
    if action == b"get":
        patterns = [pattern.lower() for pattern in call.argv[3:]]
        # In the order in which they are asked for, each once.
        names = {name: None for pattern in patterns for name in _OWN if matches(pattern, name.encode())}
        return {name.encode(): _own(call, name) for name in names}
    if action == b"set" and len(call.argv) > 4:
        return _set_own(call)
    raise Error(
        b"ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...] / "
        b"SET <param> <value> [<param> <value> ...] are supported."
    )


def _own(call: Call, name: str) -> bytes:
    if name == "loglevel":
        return call.sentinel.log.level.name.lower().encode()
    return _shown(getattr(call.knowledge.memory, _OWN[name][0]))


def _set_own(call: Call) -> Reply:
    changes: dict[str, _Value] = {}
    for at in range(3, len(call.argv), 2):
        entry = _OWN.get(call.text(at).lower())
        if entry is None:
            raise Error(b"ERR Invalid argument '%b' to SENTINEL CONFIG SET" % call.argv[at])
        field, read = entry
        if field in changes:
            raise Error(b"ERR Duplicate argument '%b' to SENTINEL CONFIG SET" % call.argv[at])
        if at + 1 == len(call.argv):
            raise Error(b"ERR Missing argument '%b' value" % call.argv[at])
        value = read(call.text(at + 1))
        if value is None:
            raise Error(b"ERR Invalid value '%b' to SENTINEL CONFIG SET '%b'" % (call.argv[at + 1], call.argv[at]))
        changes[field] = value if value != "" else None
    level = changes.get("loglevel")
    call.order(ReconfigureSelf(tuple(changes.items())))
    if isinstance(level, str):
        call.sentinel.log.level = Level[level.upper()]
    return OK
