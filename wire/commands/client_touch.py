"""CLIENT NO-TOUCH: what a client reads is not counted as used. A sentinel has nothing of that kind."""

from __future__ import annotations

from wire.call import Call
from wire.command import LOADING, NOSCRIPT, STALE, command
from wire.commands.client import switch
from wire.reply import OK, Reply


@command(
    "CLIENT|NO-TOUCH",
    arity=3,
    flags=NOSCRIPT | LOADING | STALE,
    group="connection",
    since="7.2.0",
    complexity="O(1)",
    summary="Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
    syntax="<ON | OFF>",
)
def client_no_touch(call: Call) -> Reply:
    call.session.no_touch = switch(call.argv[2])
    return OK
