"""Are a lab's ports free? Asked before anything starts, so that the answer can name the port."""

from __future__ import annotations

import errno
import os
import socket

from lab.topology import Seat


def taken(places: list[Seat]) -> list[str]:
    """The ports that cannot be had, each as a phrase for people, in the order of the seats."""
    reasons = []
    for place in places:
        for what, port in place.endpoints():
            # A node's bus port is used twice: TCP for messages, UDP for heartbeats.
            kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM) if what == "bus port" else (socket.SOCK_STREAM,)
            for kind in kinds:
                reason = _why_not(place.host, port, kind)
                if reason:
                    reasons.append(f"{what} {port} of {place.name} {reason}")
                    break
    return reasons


def _why_not(host: str, port: int, kind: socket.SocketKind) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:
            # As servers do it: connections of an earlier run, in TIME_WAIT, are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            if kind is socket.SOCK_STREAM:
                # Two sockets with SO_REUSEADDR may both be bound; only one may listen.
                probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is already in use"
            return f"on {host}: {os.strerror(error.errno or 0)}"
    return None
