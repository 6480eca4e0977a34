"""A container's health check: a program of its own, exit status 0 when the seat does its part.

A node is healthy when its cluster is: ``cluster_state:ok``, every slot assigned, and, depending on its role, its
link to its master up or every replica of its own in sync. A sentinel is healthy when it knows the other sentinels
and a master and replica for every shard; the proxy when a key of any node can be read through it.

Runs every few seconds in ten containers, so it uses the standard library only and a plain socket.
"""

from __future__ import annotations

import os
import socket
import sys

_TIMEOUT_S = 4.0
# Where compose/tls.yml puts the certificates of a lab that speaks TLS.
_TLS = "/tls"
_SENTINELS = 3
_SHARDS = 3


class UnhealthyError(Exception):
    """What is not as it should be."""


def ask(host: str, port: int, *words: str) -> str:
    """Send one command as a client would and return the reply's text; raises OSError or UnhealthyError."""
    request = "".join([f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)])
    with _connection(host, port) as connection:
        connection.sendall(request.encode())
        with connection.makefile("rb") as replies:
            first = replies.readline().decode(errors="replace").rstrip()
            if first.startswith("-"):
                raise UnhealthyError(first[1:])
            if first.startswith("$"):
                return replies.read(max(int(first[1:]), 0)).decode(errors="replace")
            return first[1:]


def _connection(host: str, port: int) -> socket.socket:
    """With TLS where the lab speaks it; raises OSError."""
    plain = socket.create_connection((host, port), timeout=_TIMEOUT_S)
    if os.environ.get("SHARDLAB_TLS") != "yes":
        return plain
    # Not needed, and not loaded, where nothing is encrypted.
    import ssl

    context = ssl.create_default_context(cafile=f"{_TLS}/ca.crt")
    context.load_cert_chain(f"{_TLS}/lab.crt", f"{_TLS}/lab.key")
    return context.wrap_socket(plain, server_hostname=host)


def fields(text: str) -> dict[str, str]:
    """The ``name:value`` lines of INFO and CLUSTER INFO."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def check_node(host: str, port: int) -> None:
    cluster = fields(ask(host, port, "CLUSTER", "INFO"))
    if cluster.get("cluster_state") != "ok":
        raise UnhealthyError("cluster_state is not ok")
    if cluster.get("cluster_slots_assigned") != "16384" or cluster.get("cluster_slots_ok") != "16384":
        raise UnhealthyError("not every slot is served")
    replication = fields(ask(host, port, "INFO", "replication"))
    if replication.get("role") == "slave":
        if replication.get("master_link_status") != "up":
            raise UnhealthyError("the link to the master is down")
        return
    replicas = [value for name, value in replication.items() if name.startswith("slave") and "state=" in value]
    if not replicas:
        raise UnhealthyError("no replica is connected")
    if any("state=online" not in replica for replica in replicas):
        raise UnhealthyError("a replica is not in sync")


def check_sentinel(host: str, port: int) -> None:
    info = fields(ask(host, port, "INFO", "sentinel"))
    for shard in range(_SHARDS):
        line = info.get(f"master{shard}")
        if line is None:
            raise UnhealthyError(f"shard {shard} is not watched")
        known = dict(pair.split("=", 1) for pair in line.split(","))
        if int(known["sentinels"]) < _SENTINELS:
            raise UnhealthyError(f"{known['name']}: knows {known['sentinels']} sentinels")
        if int(known["slaves"]) < 1 or known["status"] != "ok":
            raise UnhealthyError(f"{known['name']}: {known['slaves']} replicas, {known['status']}")


def check_proxy(host: str, port: int) -> None:
    ask(host, port, "EXISTS", "shardlab:health")


def main(seat: str, host: str = "127.0.0.1") -> int:
    """Check the seat of this name, listening at `host` on its port in a container."""
    try:
        if seat.startswith("node"):
            check_node(host, 6379)
        elif seat.startswith("sentinel"):
            check_sentinel(host, 26379)
        else:
            check_proxy(host, 6379)
    except (OSError, ValueError, KeyError, UnhealthyError) as problem:
        print(f"{seat}: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ.get("HOSTNAME", "")))
