"""The hash at a key, for commands: fields that have expired are gone from it first."""

from __future__ import annotations

from node.call import Call
from node.database import DELETE_EXPIRED, SEE_EXPIRED
from node.structures.hashes import Hash


def read_hash(call: Call, name: bytes) -> Hash | None:
    """The hash at `name` for a command that reads it; raises WRONGTYPE."""
    hash_ = call.db.read_as(name, Hash)
    if hash_ is None or hash_.expiry is None:
        return hash_
    return without_expired(call, name, hash_)


def write_hash(call: Call, name: bytes) -> Hash | None:
    """The hash at `name` for a command that is about to change it; raises WRONGTYPE."""
    hash_ = call.db.get_as(name, Hash)
    if hash_ is None or hash_.expiry is None or call.keyspace.expiry != DELETE_EXPIRED:
        return hash_
    return without_expired(call, name, hash_)


def without_expired(call: Call, name: bytes, hash_: Hash) -> Hash | None:
    """`hash_`, some of whose fields expire, as it is to be seen now; None when no field is left.

    A master deletes what has expired. A replica may only hide it, which costs it a copy of the hash until its master
    sends the deletion; what comes from our own master sees everything, as it does expired keys.
    """
    keyspace = call.keyspace
    assert hash_.expiry is not None
    first_ms = hash_.expiry.first_ms()
    if keyspace.expiry == SEE_EXPIRED or first_ms is None or first_ms >= keyspace.now_ms:
        return hash_
    if keyspace.expiry == DELETE_EXPIRED:
        return hash_ if keyspace.expire_fields(call.db, name, hash_) else None
    shown = hash_.copy()
    shown.take_due(keyspace.now_ms)
    return shown if len(shown) else None
