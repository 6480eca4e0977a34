"""`shardlab up` with our own engine: soon ready, and then really so."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from tests.e2e.cluster import Cluster
from tests.lab.running import processes_in, taken_down, wait_gone

READY_MAX = 3.0


def test_ready_in_under_three_seconds_and_able_to_lose_a_master_at_once(tmp_path: Path) -> None:
    with taken_down(Cluster(tmp_path / "lab")) as lab:
        times: list[float] = []
        # Again if something else had the processors: the promise is for two of them, free.
        while len(times) < 3 and (not times or times[-1] >= READY_MAX):
            if times:
                lab.ok("down")
            said = lab.up_detached("--fresh")
            match = re.match(r"ready in ([\d.]+) s: 10 processes", said)
            assert match, said
            times.append(float(match[1]))
        assert times[-1] < READY_MAX, times
        victim = lab.master_of(0)
        lab.ok("kill", victim)
        client = lab.client(timeout=1.0)
        lab.wait_write(client, "{b}:after")
        client.close()
        assert lab.master_of(0) != victim
        assert lab.ok("down") == "stopped 9 processes\n"
        wait_gone(lab.folder)


def test_ctrl_c_stops_all_of_it(tmp_path: Path) -> None:
    with taken_down(Cluster(tmp_path / "lab")) as lab, lab.up_foreground() as up:
        assert up.stdout is not None
        assert up.stdout.readline().startswith("ready in ")
        assert len(processes_in(lab.folder)) == 10
        lab.ok("pause", "node-0")
        lab.ok("kill", "sentinel-0")
        up.send_signal(signal.SIGINT)
        out, err = up.communicate(timeout=30)
        assert (up.returncode, err) == (0, "")
        assert out.endswith("stopping ...\n")
        wait_gone(lab.folder)
