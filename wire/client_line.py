"""One client as a line of CLIENT LIST: Redis 7.0's fields in its order, and the library's name behind them (7.2).

Redis' buffers are not ours: what has no counterpart here (`rbs`, `rbp`) stands as 0. `qbuf` is what has come and has
not been run to its end, `qbuf-free` what is still to come of a value, `argv-mem` the arguments that have been read of
the command under way, `multi-mem` those of commands that wait for EXEC, and `tot-mem` adds up what this client is
known to hold.
"""

from __future__ import annotations

from wire.encoder import encode_command
from wire.session import Session

_SESSION_BYTES = 2048
# Replies of a turn that take no more than this do not count: Redis has a buffer of that size for each client anyway, so
# that who reads CLIENT LIST holds no more for it.
_REPLIES_BYTES = 16 * 1024


def client_bytes(session: Session) -> int:
    """What the client is known to hold: what it sent and has not been run, and what waits to be sent to it.

    As in Redis, a value under way counts in full from its first bytes on.
    """
    replies = max(sum(map(len, session.out)) - _REPLIES_BYTES, 0)
    connection = session.connection
    waiting = 0
    if connection is not None:
        decoder = connection.decoder
        waiting = connection.pending_input + decoder.reserved + decoder.argv_bytes + connection.pending_output
    return _SESSION_BYTES + waiting + session.queued_bytes + session.noted_bytes + replies


def client_line(session: Session, argv: list[bytes], now_ms: int) -> bytes:
    """The line for `session`, without its end; `argv` is the command it runs at the moment, if any."""
    connection = session.connection
    buffered = connection.pending_input if connection is not None else 0
    unsent = connection.pending_output if connection is not None else 0
    collected = sum(map(len, session.out))
    argv_bytes = sum(map(len, argv)) + (connection.decoder.argv_bytes if connection is not None else 0)
    # The command that runs stays in the buffer until it has run.
    running = len(encode_command(argv)) if argv else 0
    # One text for all fields: put together one by one they took twice as long, and there may be ten thousand clients.
    return (
        f"id={session.id} addr={session.address} laddr={session.local_address}"
        f" fd={connection.fd if connection is not None else -1} name={session.name.decode()}"
        f" age={max(now_ms - session.created_at_ms, 0) // 1000} idle={max(now_ms - session.last_seen_ms, 0) // 1000}"
        f" flags={session.flags} db={session.database} sub={len(session.channels)} psub={len(session.patterns)}"
        f" ssub={len(session.shard_channels)} multi={session.queued} qbuf={buffered + running}"
        f" qbuf-free={connection.decoder.reserved if connection is not None else 0} argv-mem={argv_bytes}"
        f" multi-mem={session.queued_bytes} rbs=0 rbp=0 obl={collected} oll={1 if unsent else 0} omem={unsent}"
        f" tot-mem={client_bytes(session) + argv_bytes + running} events={'rw' if unsent else 'r'}"
        f" cmd={session.last_command or 'NULL'} user={session.user_shown} redir={session.redirection}"
        f" resp={session.proto} lib-name={session.lib_name.decode()} lib-ver={session.lib_version.decode()}"
    ).encode()
