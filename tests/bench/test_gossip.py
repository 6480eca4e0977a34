"""The gossip benchmark, on a cluster small enough for a test; and its charts."""

from xml.etree import ElementTree

from bench.gossip import measure, plot, table
from bench.plot import Chart, Series, render


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
