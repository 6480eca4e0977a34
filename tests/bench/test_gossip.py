"""The gossip benchmark, on a cluster small enough for a test; and its charts."""

import time
from xml.etree import ElementTree

from bench.gossip import measure, plot, table
from bench.plot import Chart, Series, render
from cluster.events import Received, Send, Tick
from cluster.messages import Heartbeat, MessageType
from cluster.safeguards import Safeguards
from cluster.settings import ClusterSettings
from sim.rules.agenda import Agenda
from sim.rules.forming import Shape, tables
from sim.rules.host import WALL_MS, Host
from sim.rules.network import Network, Weather
from sim.trace import Trace

# It takes about 50; with a walk through the table, and entries made anew for every heartbeat, it took 170.
_ANSWER_US_MAX = 110.0


def test_a_small_cluster() -> None:
    row = measure(10, 1000)
    assert 0 < row.suspected <= row.failed <= row.all_know_failed < row.elected <= row.all_know_successor
    # A master that is killed leaves its links: it is asked for at once, and suspected a node timeout later.
    assert 1.0 < row.suspected < 1.6
    # No heartbeat is shorter than its header, and these carry three to five gossip entries at most.
    assert 2256 * row.messages_per_second < row.bytes_per_second < 3000 * row.messages_per_second
    text = table([row], 1000)
    assert text.splitlines()[-1].startswith("| 10 |")
    assert len({line.count("|") for line in text.splitlines()[2:]}) == 1
    ElementTree.fromstring(plot([row]))


def test_a_chart_is_a_picture() -> None:
    chart = Chart("A & B", "x", "y", [Series("one", [1.0, 2.0], [0.0, 7.0]), Series("two", [1.0, 2.0], [7.0, 7.0])])
    root = ElementTree.fromstring(render([chart, chart]))
    name = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f".//{name}polyline")
    assert len(lines) == 4
    # The greatest value lies within the picture, and above the smallest.
    (_, low), (_, high) = (tuple(map(float, point.split(","))) for point in lines[0].attrib["points"].split())
    assert 0 < high < low < 360
    # Labels that would lie on one another are moved apart.
    labels = [text for text in root.findall(f".//{name}text") if text.text in ("one", "two")]
    assert labels[0].attrib["y"] != labels[1].attrib["y"]
    assert "A & B" in [text.text for text in root.findall(f".//{name}text")]


def test_a_ping_among_a_thousand_nodes_is_taken_in_and_answered_without_a_walk_through_the_table() -> None:
    shape, agenda = Shape(500, 1), Agenda()
    network, trace = Network(agenda, Weather()), Trace(lambda: 0.0)
    hosts = []
    for number in range(shape.nodes):
        ip = f"10.0.{number >> 8}.{number & 255}"
        settings = ClusterSettings(port=7000, bus_port=17000, announce_ip=ip)
        hosts.append(Host(shape.name(number), number, 1, settings, Safeguards(), agenda, network, trace))
    asked, asker = hosts[0], hosts[1]
    for index, host in enumerate((asked, asker)):
        host.start(tables(shape, hosts, index, 0.0))
    pings = []
    while len(pings) < 100:
        now = asker.machine.deadline()
        assert now is not None
        effects = asker.machine.step(now, now + WALL_MS, Tick())
        pings += [effect.message for effect in effects if isinstance(effect, Send)]
    took_us = []
    for ping in pings:
        assert isinstance(ping.body, Heartbeat)
        assert len(ping.body.gossip) == 100
        # What matters is the same, whomever it was for.
        event = Received(-1, ping, asker.ip, asked.ip)
        began = time.process_time()
        effects = asked.machine.step(now, now + WALL_MS, event)
        took_us.append((time.process_time() - began) * 1e6)
        bodies = [effect.message.body for effect in effects if isinstance(effect, Send)]
        assert [isinstance(body, Heartbeat) and body.kind is MessageType.PONG for body in bodies] == [True]
    assert min(took_us) < _ANSWER_US_MAX
