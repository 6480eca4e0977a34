"""What clients are told: on the host, localhost and published ports; inside the network, names and inner ports."""

from __future__ import annotations

import re
import subprocess

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.compose.conftest import FIRST_PORT, NODES, PROXY_PORT, ContainerLab
from tests.waiting import wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

PUBLISHED = {("localhost", FIRST_PORT + number) for number in range(6)}
INSIDE = {(name, 6379) for name in NODES}
# Prints what a raw client in the network is told: CLUSTER SLOTS, NODES, SHARDS, and the MOVED of a foreign key.
ASK_INSIDE = r"""
import hiredis, socket
def ask(*words):
    with socket.create_connection(("node-0", 6379), 5) as s:
        s.sendall(hiredis.pack_command(words))
        reader = hiredis.Reader(encoding="utf-8")
        while (reply := reader.gets()) is False:
            reader.feed(s.recv(65536))
        return reply
for slots in ask("CLUSTER", "SLOTS"):
    for host, port, *rest in slots[2:]:
        print("slots", host, port)
for key in range(50):
    reply = str(ask("GET", f"key:{key}"))
    if reply.startswith("MOVED"):
        print("moved", *reply.split()[2].rsplit(":", 1))
for shard in ask("CLUSTER", "SHARDS"):
    for node in shard[3]:
        fields = dict(zip(node[::2], node[1::2]))
        print("shards", fields["endpoint"], fields["port"])
for line in ask("CLUSTER", "NODES").splitlines():
    print("nodes", *line.split()[1].split("@")[0].rsplit(":", 1))
"""


def told_inside(lab: ContainerLab) -> dict[str, set[tuple[str, int]]]:
    told: dict[str, set[tuple[str, int]]] = {}
    for line in lab.run_inside("proxy", ASK_INSIDE).splitlines():
        what, host, port = line.split()
        told.setdefault(what, set()).add((host, int(port)))
    return told


def test_a_client_on_the_host_is_told_published_ports(whole: ContainerLab) -> None:
    node = whole.node("node-0")

    def told() -> set[tuple[object, object]]:
        return {(host, port) for entry in node.execute_command("CLUSTER SLOTS") for host, port, *_ in _nodes_of(entry)}

    # As in Redis, a replica is listed once it has something of its master's stream.
    wait_for(lambda: len(told()) == 6, timeout=20, what="replicas in CLUSTER SLOTS")
    assert told() == PUBLISHED
    lines = node.execute_command("CLUSTER NODES")
    names = lines if isinstance(lines, dict) else {line.split()[1]: None for line in str(lines).splitlines()}
    assert {_split(name.partition("@")[0]) for name in names} == PUBLISHED
    moved = set()
    for number in range(50):
        try:
            node.execute_command("GET", f"key:{number}")
        except ResponseError as error:
            moved.add(_split(str(error).rpartition(" ")[2]))
    assert moved
    assert moved <= PUBLISHED


def test_a_client_inside_is_told_names(whole: ContainerLab) -> None:
    wait_for(lambda: len(told_inside(whole)["slots"]) == 6, timeout=20, what="replicas in CLUSTER SLOTS")
    told = told_inside(whole)
    assert told["slots"] == INSIDE
    assert told["shards"] == INSIDE
    assert told["nodes"] == INSIDE
    assert told["moved"] <= INSIDE
    assert len(told["moved"]) >= 2


def test_every_client_reads_what_the_others_wrote(whole: ContainerLab) -> None:
    cluster = whole.client()
    proxy = Redis(host="localhost", port=PROXY_PORT, decode_responses=True)
    for number in range(30):
        cluster.set(f"from-cluster:{number}", number)
        proxy.set(f"from-proxy:{number}", number)
    for number in range(30):
        assert proxy.get(f"from-cluster:{number}") == str(number)
        assert cluster.get(f"from-proxy:{number}") == str(number).encode()
        printed = subprocess.run(
            ["redis-cli", "-c", "-p", str(FIRST_PORT + 2), "GET", f"from-proxy:{number}"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        assert printed.stdout.strip() == str(number)
    cluster.close()


def test_redis_cli_finds_all_slots_covered_from_the_host(whole: ContainerLab) -> None:  # noqa: ARG001 - it must run
    check = subprocess.run(
        ["redis-cli", "--cluster", "check", f"localhost:{FIRST_PORT}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr
    assert "All 16384 slots covered" in check.stdout
    assert set(re.findall(r"\(?localhost:(\d+)", check.stdout)) >= {str(FIRST_PORT)}


def _nodes_of(entry: list[object]) -> list[list[object]]:
    return [node for node in entry[2:] if isinstance(node, list)]


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
