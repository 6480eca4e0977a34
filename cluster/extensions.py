"""Ping extensions: what a heartbeat carries behind its gossip.

Each is a length (a multiple of 8, its own 8 bytes included), a type, and data. Whoever does not know a type skips it;
so new ones, ours among them, need no new protocol version.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from cluster.endpoints import CLIENT_NETWORKS_MAX, ClientNetwork, EndpointError
from cluster.fields import MalformedMessageError, exactly, host, node_id, nodename, text
from cluster.messages import NO_EXTENSIONS, Extensions

_EXTENSION = struct.Struct(">IH2x")
_FORGOTTEN = struct.Struct(">40sQ")
# Ping extension types. Redis numbers its own from 0; ours is far away and skipped by every Redis.
_EXT_HOSTNAME = 0
_EXT_NODENAME = 1
_EXT_FORGOTTEN = 2
_EXT_SHARD_ID = 3
_EXT_CLIENT_IPV4 = 4
_EXT_CLIENT_IPV6 = 5
_EXT_CLIENT_NETWORK = 0x534C
# Anybody can send us datagrams: what is kept of them has a bound.
_CACHED_BYTES_MAX = 256


# A node says the same with every heartbeat, and all its peers read it from each of them.
@lru_cache(4096)
def encode_extensions(extensions: Extensions) -> tuple[bytes, ...]:
    """In the order in which Redis and Valkey write them, ours last."""
    encoded = [
        _extension(number, _padded(text))
        for number, text in (
            (_EXT_HOSTNAME, extensions.hostname),
            (_EXT_NODENAME, extensions.nodename),
            (_EXT_CLIENT_IPV4, extensions.client_ipv4),
            (_EXT_CLIENT_IPV6, extensions.client_ipv6),
        )
        if text
    ]
    encoded.extend(
        _extension(_EXT_FORGOTTEN, _FORGOTTEN.pack(node.encode("ascii"), seconds))
        for node, seconds in extensions.forgotten
    )
    if extensions.shard_id is not None:
        encoded.append(_extension(_EXT_SHARD_ID, extensions.shard_id.encode("ascii")))
    encoded.extend(_extension(_EXT_CLIENT_NETWORK, _padded(str(rule))) for rule in extensions.client_networks)
    return tuple(encoded)


def _extension(number: int, data: bytes) -> bytes:
    return _EXTENSION.pack(_EXTENSION.size + len(data), number) + data


def _padded(text: str) -> bytes:
    """NUL-terminated, and filled with NULs to a multiple of 8."""
    data = text.encode("ascii")
    return data + bytes(8 - len(data) % 8)


def decode_extensions(frame: bytes, at: int, count: int) -> Extensions:
    """The extensions that fill `frame` from `at` to its end; those of unknown type are skipped."""
    if not count and at == len(frame):
        return NO_EXTENSIONS
    data = frame[at:]
    return _read_cached(data, count) if len(data) <= _CACHED_BYTES_MAX else _read(data, count)


def _read(frame: bytes, count: int) -> Extensions:
    at = 0
    name = ""
    texts = {_EXT_HOSTNAME: "", _EXT_CLIENT_IPV4: "", _EXT_CLIENT_IPV6: ""}
    forgotten: list[tuple[str, int]] = []
    shard_id: str | None = None
    networks: list[ClientNetwork] = []
    for _ in range(count):
        if at + _EXTENSION.size > len(frame):
            raise MalformedMessageError("a ping extension runs past the message")
        length, number = _EXTENSION.unpack_from(frame, at)
        if length < _EXTENSION.size or length % 8 or at + length > len(frame):
            raise MalformedMessageError(f"a ping extension of {length} bytes")
        data = frame[at + _EXTENSION.size : at + length]
        if number in texts:
            texts[number] = host(data)
        elif number == _EXT_NODENAME:
            name = nodename(data)
        elif number == _EXT_FORGOTTEN:
            node, seconds = exactly(_FORGOTTEN, data)
            forgotten.append((node_id(node), seconds))
        elif number == _EXT_SHARD_ID:
            shard_id = node_id(data)
        elif number == _EXT_CLIENT_NETWORK:
            networks.append(_client_network(data))
        at += length
    if at != len(frame):
        raise MalformedMessageError(f"{len(frame) - at} bytes too many")
    if len(networks) > CLIENT_NETWORKS_MAX:
        raise MalformedMessageError(f"{len(networks)} client networks")
    return Extensions(
        hostname=texts[_EXT_HOSTNAME],
        nodename=name,
        client_ipv4=texts[_EXT_CLIENT_IPV4],
        client_ipv6=texts[_EXT_CLIENT_IPV6],
        forgotten=tuple(forgotten),
        shard_id=shard_id,
        client_networks=tuple(networks),
    )


_read_cached = lru_cache(4096)(_read)


def _client_network(raw: bytes) -> ClientNetwork:
    try:
        return ClientNetwork.parse(text(raw))
    except EndpointError as error:
        raise MalformedMessageError(str(error)) from None
