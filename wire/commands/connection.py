"""Commands of the connection itself: who is there, who may come in, which protocol is spoken, and the end."""

from __future__ import annotations

from runtime.settings import to_text
from wire.arguments import parse_integer
from wire.call import Call
from wire.command import ALLOW_BUSY, FAST, IN_SUBSCRIPTION, LOADING, NO_AUTH, NOSCRIPT, STALE, UNQUEUED, command
from wire.errors import NOAUTH_HELLO, SYNTAX, WRONGPASS, Error, until_nul, wrong_arity
from wire.front import REDIS_VERSION
from wire.pubsub import update_mask
from wire.reply import OK, PONG, Reply, Simple
from wire.session import NEEDS_AUTH, SUBSCRIBED

_DOOR = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY
_NO_PASSWORD = (
    b"ERR AUTH <password> called without any password configured for the default user. "
    b"Are you sure your configuration is correct?"
)
_BAD_NAME = b"ERR Client names cannot contain spaces, newlines or special characters."


@command(
    "PING",
    arity=-1,
    flags=FAST | IN_SUBSCRIPTION,
    group="connection",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the server's liveliness response.",
    syntax="[message]",
    tips=("request_policy:all_shards", "response_policy:all_succeeded"),
)
def ping(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 2:
        raise wrong_arity("ping")
    if call.session.mask & SUBSCRIBED:
        return [b"pong", argv[1] if len(argv) == 2 else b""]
    return argv[1] if len(argv) == 2 else PONG


@command(
    "ECHO",
    arity=2,
    flags=LOADING | STALE | FAST,
    group="connection",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the given string.",
    syntax="message",
)
def echo(call: Call) -> Reply:
    return call.argv[1]


@command(
    "AUTH",
    arity=-2,
    flags=_DOOR,
    group="connection",
    since="1.0.0",
    complexity="O(N) where N is the number of passwords defined for the user",
    summary="Authenticates the connection.",
    syntax="[username] password",
    history=(("6.0.0", "Added ACL style (username and password)."),),
)
def auth(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 3:
        raise Error(SYNTAX)
    if len(argv) == 2 and not call.front.credentials.has_password:
        raise Error(_NO_PASSWORD)
    _log_in(call, argv[1] if len(argv) == 3 else b"default", argv[-1], b"AUTH")
    return OK


@command(
    "HELLO",
    arity=-1,
    flags=_DOOR,
    group="connection",
    since="6.0.0",
    complexity="O(1)",
    summary="Handshakes with the Redis server.",
    syntax="[protover [AUTH username password] [SETNAME clientname]]",
    history=(
        (
            "6.2.0",
            "`protover` made optional; when called without arguments the command reports the current "
            "connection's context.",
        ),
    ),
)
def hello(call: Call) -> Reply:
    session, argv = call.session, call.argv
    proto = session.proto if len(argv) == 1 else _protocol(argv[1])
    user, password, name = None, b"", None
    at = 2
    while at < len(argv):
        option, left = argv[at].upper(), len(argv) - at - 1
        if option == b"AUTH" and left >= 2:
            user, password = argv[at + 1 : at + 3]
            at += 3
        elif option == b"SETNAME" and left:
            name = checked_name(argv[at + 1])
            at += 2
        else:
            raise Error(b"ERR Syntax error in HELLO option '%b'" % until_nul(argv[at]))
    if user is not None:
        _log_in(call, user, password, b"HELLO")
    if session.mask & NEEDS_AUTH:
        raise Error(NOAUTH_HELLO)
    if name is not None:
        session.name = name
    session.proto = proto
    update_mask(session)
    identity = call.front.identity
    role = identity.role()
    answer = {
        b"server": b"redis",
        b"version": REDIS_VERSION.encode(),
        b"proto": proto,
        b"id": session.id,
        b"mode": identity.mode.encode(),
    }
    if role is not None:
        answer[b"role"] = role.encode()
    return {**answer, b"modules": []}


@command(
    "QUIT",
    arity=-1,
    flags=_DOOR | UNQUEUED | IN_SUBSCRIPTION,
    group="connection",
    since="1.0.0",
    complexity="O(1)",
    summary="Closes the connection.",
)
def quit_(call: Call) -> Reply:
    call.session.close()
    return OK


@command(
    "RESET",
    arity=1,
    flags=_DOOR | UNQUEUED | IN_SUBSCRIPTION,
    group="connection",
    since="6.2.0",
    complexity="O(1)",
    summary="Resets the connection.",
)
def reset(call: Call) -> Reply:
    call.reset()
    return Simple(b"RESET")


def checked_name(name: bytes) -> bytes:
    """`name` if a client may be called so: no blanks, nothing that would break a line of CLIENT LIST."""
    if any(not 0x21 <= byte <= 0x7E for byte in name):
        raise Error(_BAD_NAME)
    return name


def _protocol(text: bytes) -> int:
    version = parse_integer(text, b"ERR Protocol version is not an integer or out of range")
    if version not in (2, 3):
        raise Error(b"NOPROTO unsupported protocol version")
    return version


def _log_in(call: Call, user: bytes, password: bytes, command: bytes) -> None:
    if not call.front.credentials.accept(call.session, user, password, command):
        raise Error(WRONGPASS)
    call.front.authenticated(call.session, to_text(user))
