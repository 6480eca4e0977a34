"""Refusals, in Redis' own words.

Three kinds of failure, three ways: the peer broke the protocol (`ProtocolError`: answer, then close);
the request is refused (`Error`: the text goes to the client as it stands); we are wrong (an assertion).
The first word of a text is its code; Redis uses ``ERR`` where no better one exists.
"""

from __future__ import annotations

from collections.abc import Sequence

WRONGTYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"
SYNTAX = b"ERR syntax error"
NOT_AN_INTEGER = b"ERR value is not an integer or out of range"
NOT_A_FLOAT = b"ERR value is not a valid float"
OUT_OF_RANGE = b"ERR value is out of range"
NO_SUCH_KEY = b"ERR no such key"
SAME_OBJECT = b"ERR source and destination objects are the same"
OVERFLOW = b"ERR increment or decrement would overflow"
STRING_TOO_LONG = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"
NOAUTH = b"NOAUTH Authentication required."
NOAUTH_HELLO = (
    b"NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option "
    b"can be used to authenticate the client and select the RESP protocol version at the same time"
)
WRONGPASS = b"WRONGPASS invalid username-password pair or user is disabled."
EXECABORT = b"EXECABORT Transaction discarded because of previous errors."
FORCE_UNBLOCKED = b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
UNBLOCKED_BY_CLIENT = b"UNBLOCKED client unblocked via CLIENT UNBLOCK"
LOADING = b"LOADING Redis is loading the dataset in memory"
# Ours: from a master that came back with less than a replica of it has, and waits to be replaced.
LOST_DATA = b"ERR This master has lost data that a replica of it still has."


class Error(Exception):
    """A refusal, raised or returned by a command; `text` is what follows the ``-`` on the wire.

    Make a new one for each refusal: an exception object that is raised twice grows its traceback. Who keeps one as a
    reply takes that off (`with_traceback(None)`): it leads to the frame that keeps the reply, and what goes in a circle
    only the garbage collector takes away.
    """

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


class ProtocolError(Exception):
    """The peer sent what no command can be read from; after the reply the connection is closed."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = b"ERR Protocol error: " + text


def until_nul(word: bytes) -> bytes:
    """A word of the client's as a message quotes it: Redis formats C strings, which end at a NUL."""
    return word.partition(b"\0")[0]


def wrong_arity(name: str) -> Error:
    """`name` as Redis shows it: ``get``, or ``config|get`` for a subcommand."""
    return Error(b"ERR wrong number of arguments for '%s' command" % name.encode())


def wrong_subcommand(argv: Sequence[bytes]) -> Error:
    """For a subcommand with arguments that it has no use for."""
    text = b"ERR unknown subcommand or wrong number of arguments for '%b'. Try %b HELP."
    return Error(text % (until_nul(argv[1])[:128], argv[0].upper()))


def unknown_subcommand(subcommand: bytes, container: str) -> Error:
    return Error(
        b"ERR unknown subcommand '%s'. Try %s HELP." % (until_nul(subcommand)[:128], container.upper().encode())
    )


def unknown_command(argv: list[bytes]) -> Error:
    """Redis quotes at most 128 bytes of the name and about 128 of the arguments."""
    arguments = b""
    for argument in argv[1:]:
        if len(arguments) >= 128:
            break
        arguments += b"'%s' " % until_nul(argument)[: 128 - len(arguments)]
    return Error(b"ERR unknown command '%s', with args beginning with: %s" % (until_nul(argv[0])[:128], arguments))
