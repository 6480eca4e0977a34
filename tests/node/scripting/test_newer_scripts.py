"""What scripts have since Redis 7.4. The real server of these tests is a 7.0, and does not have it."""

from __future__ import annotations

from tests.node.conftest import Pair


def test_a_script_measures_time(pair: Pair) -> None:
    client, _ = pair.connect()
    script = "local began = os.clock() while os.clock() == began do end return os.clock() > began"
    assert client.ask("EVAL", script, "0") == b":1\r\n"
    names = "local names = {} for name in pairs(os) do names[#names + 1] = name end return names"
    assert client.ask("EVAL", names, "0") == b"*1\r\n$5\r\nclock\r\n"
    assert b"readonly table" in client.ask("EVAL", "os.clock = nil", "0")
