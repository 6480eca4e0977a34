"""OBJECT: how a value is kept. It tells nothing of keyspace hits, and a missing key is no event."""

from __future__ import annotations

from node.call import Call
from node.commands.counters import SHARED
from node.database import Value
from node.memory.access import Uses
from wire.arguments import canonical_integer
from wire.command import LOADING, READONLY, STALE, command, container, key
from wire.commands.help import help_lines
from wire.errors import Error
from wire.reply import Reply

# Redis keeps a short string in one piece with its object, and says this of the small integers, which it shares.
_EMBEDDED_MAX = 44
_SHARED_REFERENCES = 2147483647
_SWITCHING = (
    b" Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
)

object_ = container(
    "OBJECT",
    group="generic",
    since="2.2.3",
    summary="A container for object introspection commands.",
    help=(
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
    ),
)


@command(
    "OBJECT|ENCODING",
    arity=3,
    flags=READONLY,
    keys=key(2, "RO"),
    group="generic",
    since="2.2.3",
    complexity="O(1)",
    summary="Returns the internal encoding of a Redis object.",
    syntax="key",
    tips=("nondeterministic_output",),
)
def object_encoding(call: Call) -> Reply:
    value = call.db.peek(call.argv[2])
    return None if value is None else encoding_of(value)


def encoding_of(value: Value) -> bytes:
    """Redis' name for the way `value` is kept; what is no string says it itself."""
    encoding: bytes
    if type(value) is bytearray:
        encoding = b"raw"
    elif type(value) is bytes:
        short = b"embstr" if len(value) <= _EMBEDDED_MAX else b"raw"
        encoding = short if canonical_integer(value) is None else b"int"
    else:
        encoding = value.encoding
    return encoding


@command(
    "OBJECT|REFCOUNT",
    arity=3,
    flags=READONLY,
    keys=key(2, "RO"),
    group="generic",
    since="2.2.3",
    complexity="O(1)",
    summary="Returns the reference count of a value of a key.",
    syntax="key",
    tips=("nondeterministic_output",),
)
def object_refcount(call: Call) -> Reply:
    value = call.db.peek(call.argv[2])
    return None if value is None else references_of(call, value)


def references_of(call: Call, value: Value) -> int:
    """How many references Redis would say there are; a number that stands for any number when it shares the value.

    It shares none that are to be evicted by their use, which each key has for itself.
    """
    settings = call.node.settings
    if settings.maxmemory and settings.maxmemory_policy.endswith(("lru", "lfu")):
        return 1
    number = canonical_integer(value) if type(value) is bytes else None
    return _SHARED_REFERENCES if number is not None and 0 <= number < SHARED else 1


@command(
    "OBJECT|FREQ",
    arity=3,
    flags=READONLY,
    keys=key(2, "RO"),
    group="generic",
    since="4.0.0",
    complexity="O(1)",
    summary="Returns the logarithmic access frequency counter of a Redis object.",
    syntax="key",
    tips=("nondeterministic_output",),
)
def object_freq(call: Call) -> Reply:
    name = call.argv[2]
    if call.db.peek(name) is None:
        return None
    clocks = call.db.clocks
    if clocks is None or not clocks.uses.counting:
        raise Error(b"ERR An LFU maxmemory policy is not selected, access frequency not tracked." + _SWITCHING)
    return clocks.uses.frequency(clocks.entry(call.keyspace.slot_of(name), name))


@command(
    "OBJECT|IDLETIME",
    arity=3,
    flags=READONLY,
    keys=key(2, "RO"),
    group="generic",
    since="2.2.3",
    complexity="O(1)",
    summary="Returns the time since the last access to a Redis object.",
    syntax="key",
    tips=("nondeterministic_output",),
)
def object_idletime(call: Call) -> Reply:
    name = call.argv[2]
    if call.db.peek(name) is None:
        return None
    uses, entry = use_of(call, name)
    if uses.counting:
        raise Error(b"ERR An LFU maxmemory policy is selected, idle time not tracked." + _SWITCHING)
    return uses.idle_s(entry)


def use_of(call: Call, name: bytes) -> tuple[Uses, int]:
    """How uses are noted, from now on at the latest, and what is noted of the key's last one."""
    uses = call.node.eviction.note_uses(_quiet_since_ms(call))
    clocks = call.db.clocks
    assert clocks is not None, "uses are not noted"
    return uses, clocks.entry(call.keyspace.slot_of(name), name)


def _quiet_since_ms(call: Call) -> int | None:
    """When keys were last used before this command, which uses none; None when that is just now, or not known.

    A note of each use would make every GET dearer. So they begin when somebody asks, and this much is known of the time
    before: exactly when no command at all was executed, and else to a tenth of a second.
    """
    node, session, keyspace = call.node, call.session, call.keyspace
    quiet_since_ms = node.quiet.since_ms()
    first_here = call.may_block and not session.out and not node.replication.is_replica
    if not first_here or any(other is not session and other.last_seen_ms >= keyspace.turn_ms for other in node.clients):
        return quiet_since_ms
    turn_before_ms = keyspace.turn_before_ms or node.started_at_ms
    return turn_before_ms if quiet_since_ms is None else min(turn_before_ms, quiet_since_ms)


@command(
    "OBJECT|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="generic",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def object_help(_: Call) -> Reply:
    return help_lines(object_)
