"""CLIENT: who is connected, what a connection is called, which replies it wants, and its end at another's hand.

What only a node can do (PAUSE, UNPAUSE, TRACKING) is declared there; NO-TOUCH, which a sentinel does not know, in
`client_touch`.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime.settings import to_text
from wire.arguments import parse_integer
from wire.call import Call
from wire.client_line import client_line
from wire.command import ADMIN, LOADING, NOSCRIPT, STALE, command, container
from wire.commands.connection import checked_name
from wire.commands.help import help_lines
from wire.errors import SYNTAX, Error, until_nul, wrong_subcommand
from wire.reply import NO_REPLY, OK, Reply, Verbatim
from wire.session import MUTED, Session

_OWN = NOSCRIPT | LOADING | STALE
_OTHERS = _OWN | ADMIN
_KINDS = (b"normal", b"master", b"replica", b"pubsub")

client = container(
    "CLIENT",
    group="connection",
    since="2.4.0",
    summary="A container for client connection commands.",
    help=(
        "CACHING (YES|NO)",
        "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
        "GETREDIR",
        "    Return the client ID we are redirecting to when tracking is enabled.",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made from the specified address",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made to specified local address",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Kill connections by type.",
        "    * USER <username>",
        "      Kill connections authenticated by <username>.",
        "    * SKIPME (YES|NO)",
        "      Skip killing current connection (default: yes).",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Unblock the specified blocked client.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Control server assisted client side caching.",
        "TRACKINGINFO",
        "    Report tracking status for the current connection.",
        "NO-EVICT (ON|OFF)",
        "    Protect current client connection from eviction.",
    ),
)


@command(
    "CLIENT|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="connection",
    since="5.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def client_help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return help_lines(client)


@command(
    "CLIENT|ID",
    arity=2,
    flags=_OWN,
    group="connection",
    since="5.0.0",
    complexity="O(1)",
    summary="Returns the unique client ID of the connection.",
)
def client_id(call: Call) -> Reply:
    return call.session.id


@command(
    "CLIENT|GETNAME",
    arity=2,
    flags=_OWN,
    group="connection",
    since="2.6.9",
    complexity="O(1)",
    summary="Returns the name of the connection.",
)
def client_getname(call: Call) -> Reply:
    return call.session.name or None


@command(
    "CLIENT|SETNAME",
    arity=3,
    flags=_OWN,
    group="connection",
    since="2.6.9",
    complexity="O(1)",
    summary="Sets the connection name.",
    syntax="connection-name",
)
def client_setname(call: Call) -> Reply:
    call.session.name = checked_name(call.argv[2])
    return OK


@command(
    "CLIENT|SETINFO",
    arity=4,
    flags=_OWN,
    group="connection",
    since="7.2.0",
    complexity="O(1)",
    summary="Sets information specific to the client or connection.",
    syntax="<LIB-NAME libname | LIB-VER libver>",
)
def client_setinfo(call: Call) -> Reply:
    attribute, value = call.argv[2:4]
    if any(not 0x21 <= byte <= 0x7E for byte in value):
        raise Error(b"ERR %b cannot contain spaces, newlines or special characters." % attribute)
    match attribute.lower():
        case b"lib-name":
            call.session.lib_name = value
        case b"lib-ver":
            call.session.lib_version = value
        case _:
            raise Error(b"ERR Unrecognized option '%b'" % until_nul(attribute))
    return OK


@command(
    "CLIENT|INFO",
    arity=2,
    flags=_OWN,
    group="connection",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns information about the connection.",
    tips=("nondeterministic_output",),
)
def client_info(call: Call) -> Reply:
    return Verbatim(client_line(call.session, call.argv, call.front.clock.wall_ms()) + b"\n")


@command(
    "CLIENT|LIST",
    arity=-2,
    flags=_OTHERS,
    group="connection",
    since="2.4.0",
    complexity="O(N) where N is the number of client connections",
    summary="Lists open connections.",
    syntax="[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
    tips=("nondeterministic_output",),
    history=(
        ("2.8.12", "Added unique client `id` field."),
        ("5.0.0", "Added optional `TYPE` filter."),
        ("6.0.0", "Added `user` field."),
        ("6.2.0", "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter."),
        ("7.0.0", "Added `resp`, `multi-mem`, `rbs` and `rbp` fields."),
        ("7.0.3", "Added `ssub` field."),
    ),
)
def client_list(call: Call) -> Reply:
    argv, clients = call.argv, call.front.clients
    listed: list[Session] = list(clients)
    if len(argv) == 4 and argv[2].upper() == b"TYPE":
        kind = _kind(argv[3])
        listed = [session for session in listed if session.kind == kind]
    elif len(argv) > 3 and argv[2].upper() == b"ID":
        ids = [parse_integer(text, b"ERR Invalid client ID") for text in argv[3:]]
        listed = [clients.by_id[id] for id in ids if id in clients.by_id]
    elif len(argv) != 2:
        raise Error(SYNTAX)
    now_ms = call.front.clock.wall_ms()
    lines = [client_line(session, argv if session is call.session else [], now_ms) + b"\n" for session in listed]
    return Verbatim(b"".join(lines))


@command(
    "CLIENT|KILL",
    arity=-3,
    flags=_OTHERS,
    group="connection",
    since="2.4.0",
    complexity="O(N) where N is the number of client connections",
    summary="Terminates open connections.",
    syntax="<ip:port | <ID client-id | TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB> | USER username | "
    "ADDR ip:port | LADDR ip:port | SKIPME yes/no | MAXAGE maxage:integer ...>>",
    history=(
        ("2.8.12", "Added new filter format."),
        ("2.8.12", "`ID` option."),
        ("3.2.0", "Added `master` type in for `TYPE` option."),
        ("5.0.0", "Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility."),
        ("6.2.0", "`LADDR` option."),
        ("7.4.0", "`MAXAGE` option."),
    ),
)
def client_kill(call: Call) -> Reply:
    argv = call.argv
    if len(argv) == 3:
        address = argv[2].decode("utf-8", "replace")
        if not _kill(call, [lambda session: session.address == address], skip_me=False):
            raise Error(b"ERR No such client")
        return OK
    if len(argv) % 2:
        raise Error(SYNTAX)
    skip_me = True
    filters: list[Callable[[Session], bool]] = []
    for option, value in zip(argv[2::2], argv[3::2], strict=True):
        if option.upper() == b"SKIPME":
            if value.lower() not in (b"yes", b"no"):
                raise Error(SYNTAX)
            skip_me = value.lower() == b"yes"
        else:
            filters.append(_filter(call, option.upper(), value))
    return _kill(call, filters, skip_me=skip_me)


def _filter(call: Call, option: bytes, value: bytes) -> Callable[[Session], bool]:
    text = value.decode("utf-8", "replace")
    match option:
        case b"ID":
            refusal = b"ERR client-id should be greater than 0"
            id = parse_integer(value, refusal)
            if id < 1:
                raise Error(refusal)
            return lambda session: session.id == id
        case b"TYPE":
            kind = _kind(value)
            return lambda session: session.kind == kind
        case b"ADDR":
            return lambda session: session.address == text
        case b"LADDR":
            return lambda session: session.local_address == text
        case b"USER":
            if not call.front.credentials.exists(value):
                raise Error(b"ERR No such user '%b'" % until_nul(value))
            user = to_text(value)
            return lambda session: session.user == user
        case b"MAXAGE":
            age_s = parse_integer(value, b"ERR maxage is not an integer or out of range")
            if age_s <= 0:
                raise Error(b"ERR maxage should be greater than 0")
            now_ms = call.front.clock.wall_ms()
            return lambda session: (now_ms - session.created_at_ms) // 1000 >= age_s
    raise Error(SYNTAX)


def _kind(text: bytes) -> str:
    kind = b"replica" if text.lower() == b"slave" else text.lower()
    if kind not in _KINDS:
        raise Error(b"ERR Unknown client type '%b'" % until_nul(text))
    return kind.decode()


def _kill(call: Call, filters: list[Callable[[Session], bool]], *, skip_me: bool) -> int:
    """End whoever passes all filters; the caller itself only after its reply."""
    killed = 0
    for session in call.front.clients:
        if (session is call.session and skip_me) or not all(passes(session) for passes in filters):
            continue
        killed += 1
        if session is call.session:
            session.close()
        else:
            session.drop()
    return killed


@command(
    "CLIENT|REPLY",
    arity=3,
    flags=_OWN,
    group="connection",
    since="3.2.0",
    complexity="O(1)",
    summary="Instructs the server whether to reply to commands.",
    syntax="<ON | OFF | SKIP>",
)
def client_reply(call: Call) -> Reply:
    session = call.session
    match call.argv[2].upper():
        case b"ON":
            session.replies_off = False
            session.skip_replies = 0
            session.mask &= ~MUTED
            return OK
        case b"OFF":
            session.replies_off = True
            session.mask |= MUTED
        case b"SKIP":
            # This command has no reply of its own to skip: one more is dropped.
            if not session.replies_off:
                session.skip_replies = 1
                session.mask |= MUTED
        case _:
            raise Error(SYNTAX)
    return NO_REPLY


@command(
    "CLIENT|UNBLOCK",
    arity=-3,
    flags=_OTHERS,
    group="connection",
    since="5.0.0",
    complexity="O(log N) where N is the number of client connections",
    summary="Unblocks a client blocked by a blocking command from a different connection.",
    syntax="client-id [TIMEOUT | ERROR]",
)
def client_unblock(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 4:
        raise wrong_subcommand(argv)
    with_error = len(argv) == 4 and argv[3].upper() == b"ERROR"
    if len(argv) == 4 and not with_error and argv[3].upper() != b"TIMEOUT":
        raise Error(b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    session = call.front.clients.by_id.get(parse_integer(argv[2]))
    if session is None or session.unblock is None:
        return 0
    session.unblock(with_error)
    return 1


@command(
    "CLIENT|NO-EVICT",
    arity=3,
    flags=_OTHERS,
    group="connection",
    since="7.0.0",
    complexity="O(1)",
    summary="Sets the client eviction mode of the connection.",
    syntax="<ON | OFF>",
)
def client_no_evict(call: Call) -> Reply:
    call.session.no_evict = switch(call.argv[2])
    return OK


def switch(word: bytes) -> bool:
    """ON or OFF; raises Error."""
    if word.lower() not in (b"on", b"off"):
        raise Error(SYNTAX)
    return word.lower() == b"on"
