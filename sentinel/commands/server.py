"""The commands of any Redis server that mean something else here: ROLE, PUBLISH, SHUTDOWN."""

from __future__ import annotations

from runtime.settings import to_bytes
from sentinel.call import Call
from sentinel.events import Told
from sentinel.requests import HELLO_CHANNEL
from wire.command import ADMIN, FAST, LOADING, NOSCRIPT, PUBSUB, STALE, command
from wire.errors import SYNTAX, Error
from wire.reply import NO_REPLY, Reply


@command(
    "ROLE",
    arity=1,
    flags=NOSCRIPT | LOADING | STALE | FAST,
    group="server",
    since="2.8.12",
    complexity="O(1)",
    summary="Return the role of the instance in the context of replication",
    categories=("admin", "dangerous"),
)
def role(call: Call) -> Reply:
    return [b"sentinel", [to_bytes(name) for name in call.knowledge.masters]]


@command(
    "PUBLISH",
    arity=3,
    flags=PUBSUB | LOADING | STALE | FAST,
    group="pubsub",
    since="2.0.0",
    complexity="O(1)",
    summary="Post a message to a channel",
    syntax="channel message",
)
def publish(call: Call) -> Reply:
    """Other sentinels introduce themselves this way; nobody else has anything to publish here."""
    if call.argv[1] != HELLO_CHANNEL.encode():
        raise Error(b"ERR Only HELLO messages are accepted by Sentinel instances.")
    call.order(Told(call.text(2)))
    return 1


@command(
    "SHUTDOWN",
    arity=-1,
    flags=ADMIN | NOSCRIPT | LOADING | STALE,
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Shut down the server",
    syntax="[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
)
def shutdown(call: Call) -> Reply:
    """There is nothing to save: what a sentinel knows is on disk already."""
    if not all(word.lower() in (b"save", b"nosave", b"now", b"force") for word in call.argv[1:]):
        raise Error(SYNTAX)
    call.sentinel.log.warning("User requested shutdown...")
    call.sentinel.ask_to_stop()
    return NO_REPLY
