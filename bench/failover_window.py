"""How long writes to a shard fail when its master is killed, against `down-after-milliseconds`: a table for the docs.

    python -m bench.failover_window [--rounds 5] [--engine shardlab|redis] [--failover sentinel|cluster] [MS ...]

For every setting a lab of real processes is started. In each round a master dies by SIGKILL while its replica is asked,
every few milliseconds on an open connection, to take a write for the shard. The window is the time from the kill to
the first write that it takes. A client adds its own: the time that it needs to find the new master.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lab.ask import NoAnswerError, ask
from lab.drivers import process
from lab.lab_file import Entry, load_existing
from lab.observe import observe
from lab.up import wait_ready

SETTINGS_MS = (200, 500, 1000, 2000, 5000)
# Between two attempts to write, and so the precision.
_PACE = 0.005


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("settings_ms", type=int, nargs="*", metavar="MS", default=SETTINGS_MS)
    parser.add_argument("--rounds", type=int, default=5, help="kills for every setting")
    parser.add_argument("--engine", choices=("shardlab", "redis"), default="shardlab")
    parser.add_argument("--failover", choices=("sentinel", "cluster"), default="sentinel")
    parser.add_argument("--port-base", type=int, default=7000)
    options = parser.parse_args()
    print(f"engine {options.engine}, {options.failover} failover, {options.rounds} kills for each setting; seconds\n")
    print("| down-after-milliseconds | fastest | median | slowest |\n|---:|---:|---:|---:|", flush=True)
    for setting_ms in options.settings_ms:
        windows = sorted(measure(setting_ms, options))
        print(f"| {setting_ms} | {windows[0]:.2f} | {statistics.median(windows):.2f} | {windows[-1]:.2f} |", flush=True)
    return 0


def measure(setting_ms: int, options: argparse.Namespace) -> list[float]:
    """The windows of all rounds with one setting."""
    with tempfile.TemporaryDirectory(prefix="failover-window-") as folder:
        shardlab(
            "up", "--detach", "--no-proxy", "--dir", folder, "--engine", options.engine, "--failover", options.failover,
            "--port-base", str(options.port_base), "--down-after-milliseconds", str(setting_ms),
        )  # fmt: skip
        try:
            return [asyncio.run(strike(Path(folder))) for _ in range(options.rounds)]
        finally:
            shardlab("down", "--dir", folder)


async def strike(folder: Path) -> float:
    """Kill the master that has served longest, and return the seconds until its replica takes a write."""
    lab = load_existing(folder)
    await wait_ready(lab, timeout=60)
    views = {seen.name: seen.node for seen in await observe(lab) if seen.node is not None}
    victim = min((entry for entry in lab.nodes() if views[entry.name].slots), key=lambda e: views[e.name].epoch)
    heir = next(entry for entry in lab.nodes() if views[entry.name].master == f"{victim.host}:{victim.port}")
    key = key_in(views[victim.name].slots[0])
    assert victim.identity is not None
    process.kill(victim.identity)
    window = await first_write(heir, key, killed_at=time.monotonic())
    await asyncio.to_thread(shardlab, "restart", victim.name, "--dir", str(folder))
    return window


async def first_write(heir: Entry, key: str, *, killed_at: float) -> float:
    while True:
        try:
            (reply,) = await ask(heir.address, f"SET {key} x", timeout=0.1)
        except NoAnswerError as error:
            reply = error
        if reply == "OK":
            return time.monotonic() - killed_at
        await asyncio.sleep(_PACE)


def key_in(slots: tuple[int, int]) -> str:
    import binascii

    first, last = slots
    return next(key for n in range(100_000) if first <= binascii.crc_hqx((key := f"k{n}").encode(), 0) % 16384 <= last)


def shardlab(*words: str) -> None:
    done: subprocess.CompletedProcess[Any] = subprocess.run(
        [sys.executable, "-m", "lab", *words], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr.strip())


if __name__ == "__main__":
    sys.exit(main())
