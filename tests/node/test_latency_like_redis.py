"""LATENCY and INFO latencystats, beside a real server."""

from __future__ import annotations

import re

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient
from tests.waiting import wait_for


def _start(client: RawClient) -> None:
    client.ask("CONFIG", "SET", "latency-monitor-threshold", "30")
    client.ask("LATENCY", "RESET")
    client.ask("DEBUG", "SLEEP", "0.05")


def _numbers_hidden(reply: bytes) -> bytes:
    return re.sub(rb":\d+", b":n", reply)


def test_events(pair: Pair) -> None:
    outcomes = []
    for client in pair.connect():
        _start(client)
        took_ms = int(re.findall(rb":(\d+)", client.ask("LATENCY", "LATEST"))[1])
        assert 50 <= took_ms < 1000
        asked = [
            ("LATENCY", "LATEST"),
            ("LATENCY", "HISTORY", "command"),
            ("LATENCY", "HISTORY", "Command"),
            ("LATENCY", "GRAPH", "Command"),
            ("LATENCY", "HELP"),
            ("LATENCY", "HELP", "me"),
            ("LATENCY", "RESET", "nothing", "COMMAND"),
            ("LATENCY", "LATEST"),
            ("LATENCY", "HISTORY"),
            ("LATENCY", "NOPE"),
        ]
        outcomes.append([_numbers_hidden(client.ask(*words)) for words in asked])
        client.ask("CONFIG", "SET", "latency-monitor-threshold", "0")
        client.ask("DEBUG", "SLEEP", "0.05")
        assert client.ask("LATENCY", "LATEST") == b"*0\r\n"
    assert outcomes[0] == outcomes[1]


def test_the_graph_is_drawn_alike(pair: Pair) -> None:
    graphs = []
    for client in pair.connect():
        _start(client)
        graph = client.ask("LATENCY", "GRAPH", "command")
        graphs.append(re.sub(rb"\d+(?= ms)|^\$\d+", b"n", graph))
        client.ask("CONFIG", "SET", "latency-monitor-threshold", "0")
    # The one sample may have come to be a second old.
    assert len({re.sub(rb"[01]\ns\n", b"age", graph) for graph in graphs}) == 1
    assert b"command - high" in graphs[0]


def test_histograms_count_every_run(pair: Pair) -> None:
    outcomes = []
    for client in pair.connect():
        client.ask("CONFIG", "RESETSTAT")
        client.ask_all([("SET", "k", "v")] * 50)
        for words in (
            ("GET", "k"),
            ("CLIENT", "ID"),
            ("CLIENT", "GETNAME"),
            ("EVAL", "return redis.call('get', 'k')", "0"),
        ):
            client.ask(*words)
        asked = [("set",), ("GET", "nope"), ("client",), ("client|id", "CLIENT|getname"), ("nope",), ("zadd",)]
        replies = [client.ask("LATENCY", "HISTOGRAM", *names) for names in asked]
        # The calls of each; the buckets are a matter of speed.
        outcomes.append(
            [sorted(re.findall(rb"\$\d+\r\n([a-z|]+)\r\n\*4\r\n\$5\r\ncalls\r\n:(\d+)", r)) for r in replies]
        )
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == [(b"set", b"50")]
    assert outcomes[0][1] == [(b"get", b"2")]


def _wait_blocked(client: RawClient) -> None:
    wait_for(lambda: b"blocked_clients:1\r" in client.ask("INFO", "clients"), what="the client that blocks")


def test_who_blocks_is_counted_when_served(pair: Pair) -> None:
    outcomes = []
    for client, waiting in zip(pair.connect(), pair.connect(), strict=True):
        client.ask("CONFIG", "RESETSTAT")
        client.ask("BLPOP", "nothing", "0.01")
        waiting.send(b"BLPOP list 0\r\n")
        _wait_blocked(client)
        before = client.ask("LATENCY", "HISTOGRAM", "blpop")
        client.ask("RPUSH", "list", "x")
        waiting.read_reply()
        after = client.ask("LATENCY", "HISTOGRAM", "blpop")
        outcomes.append((before, b"calls\r\n:1\r" in after, b"calls=2," in client.ask("INFO", "commandstats")))
    assert outcomes == [(b"*0\r\n", True, True)] * 2


def test_percentiles_in_info(pair: Pair) -> None:
    shown = []
    for client in pair.connect():
        client.ask("CONFIG", "SET", "latency-tracking-info-percentiles", "0 12.5 50 100")
        client.ask("CONFIG", "RESETSTAT")
        client.ask("GET", "k")
        on = re.search(rb"latency_percentiles_usec_get:(\S+)", client.ask("INFO", "latencystats"))
        assert on is not None
        client.ask("CONFIG", "SET", "latency-tracking", "no")
        off = client.ask("INFO", "latencystats")
        client.ask("CONFIG", "SET", "latency-tracking", "yes")
        client.ask("CONFIG", "SET", "latency-tracking-info-percentiles", "50 99 99.9")
        shown.append((re.sub(rb"=\d+\.\d{3}(?=,|$)", b"=t", on[1]), off))
    assert shown[0] == shown[1]
    assert shown[0][0] == b"p0=t,p12.5=t,p50=t,p100=t"


def test_a_doctor_says_something(pair: Pair) -> None:
    ours, _ = pair.connect()
    ours.ask("LATENCY", "RESET")
    assert b"latency-monitor-threshold" in ours.ask("LATENCY", "DOCTOR")
    _start(ours)
    assert b"command: 1 latency spikes" in ours.ask("LATENCY", "DOCTOR")
    ours.ask("CONFIG", "SET", "latency-monitor-threshold", "0")
