"""Reading options and expiry times from arguments: Redis' exact rules, refusals in its words."""

from __future__ import annotations

from node.call import Call
from node.long_double import parse_long_double
from wire.arguments import INT64_MAX, parse_integer
from wire.errors import SYNTAX, Error

# Options that say when a key expires: milliseconds per unit, and whether the time counts from now.
EXPIRE_UNITS = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}
# Options that compare the string that is there with one that is given (`node.commands.string_conditions`).
COMPARISONS = frozenset((b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"))
_WITH_ARGUMENT = COMPARISONS.union(EXPIRE_UNITS)

_DRAWS_OUT_OF_RANGE = b"ERR value is out of range, value must between %d and %d" % (-INT64_MAX, INT64_MAX)


def parse_options(argv: list[bytes], start: int, rivals: dict[bytes, tuple[bytes, ...]]) -> dict[bytes, bytes]:
    """The options from argument `start` on: by upper-case name, each with its argument if it has one.

    `rivals` names the options allowed, and for each those that must not stand before it. An option may be
    repeated; the last one counts. Raises Error for anything else.
    """
    options: dict[bytes, bytes] = {}
    index = start
    while index < len(argv):
        name = argv[index].upper()
        against = rivals.get(name)
        if against is None or (options and any(rival in options for rival in against)):
            raise Error(SYNTAX)
        options[name] = b""
        if name in _WITH_ARGUMENT:
            index += 1
            if index == len(argv):
                raise Error(SYNTAX)
            options[name] = argv[index]
        index += 1
    return options


def expire_option(call: Call, options: dict[bytes, bytes]) -> int | None:
    """The time that EX, PX, EXAT or PXAT among `options` asks for, in Unix milliseconds; None without one."""
    for name, text in options.items():
        if name in EXPIRE_UNITS:
            unit_ms, relative = EXPIRE_UNITS[name]
            return expire_moment(call, text, unit_ms, relative=relative)
    return None


def expire_moment(call: Call, text: bytes, unit_ms: int, *, relative: bool) -> int:
    """When a key given the time `text` expires, in Unix milliseconds; raises Error unless it is positive."""
    number = parse_integer(text)
    moment = number * unit_ms + (call.keyspace.now_ms if relative else 0)
    if number <= 0 or moment > INT64_MAX:
        raise invalid_expire_time(call)
    return moment


def parse_draws(text: bytes) -> int:
    """How many elements a command of the family of SRANDMEMBER is to draw; negative when one may come again."""
    count = parse_integer(text)
    if count < -INT64_MAX:
        raise Error(_DRAWS_OUT_OF_RANGE)
    return count


def invalid_expire_time(call: Call) -> Error:
    return Error(b"ERR invalid expire time in '%b' command" % call.command.name.encode())


def parse_timeout_ms(text: bytes) -> int:
    """How long a command may block, given in seconds: milliseconds, begun ones included; 0 for ever.

    Redis calls negative what is too large for it, too.
    """
    if len(text) < 10 and text.isdigit():
        return int(text) * 1000
    try:
        number = parse_long_double(text)
    except ValueError:
        raise Error(b"ERR timeout is not a float or out of range") from None
    if number is not None:
        mantissa, exponent = number
        timeout_ms = -(-mantissa * 1000 << exponent if exponent > 0 else -mantissa * 1000 >> -exponent)
        if 0 <= timeout_ms <= INT64_MAX:
            return timeout_ms
    raise Error(b"ERR timeout is negative")
