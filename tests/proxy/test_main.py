"""`shardlab proxy`: its command line, its log, its end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from proxy.main import main
from proxy.settings import ProxySettings, UsageError, parse_arguments
from proxy.slot_map import Address
from tests.proxy.proxy_process import ProxyProcess
from tests.proxy.real_cluster import RealCluster

RUN = [sys.executable, "-c", "import sys; from proxy.main import main; sys.exit(main(sys.argv[1:]))"]


def test_arguments() -> None:
    line = "--nodes a:1,b:2 --port 7300 --bind 127.0.0.1 -::1 --requirepass s"
    settings = parse_arguments(line.split())
    assert settings.nodes == (Address("a", 1), Address("b", 2))
    assert settings.port == 7300
    assert settings.bind == ("127.0.0.1", "-::1")
    assert settings.requirepass == "s"
    assert parse_arguments(["--nodes=a:1"]).port == 7200
    assert parse_arguments(["--nodes", "a:1", "b:2"]).nodes == (Address("a", 1), Address("b", 2))
    assert parse_arguments(["--nodes", "a:1", "--hold-timeout-ms", "0"]).hold_timeout_ms == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "--nodes host:port"),
        ("--nodes", "--nodes needs a value"),
        ("--nodes x", "'x' is not host:port"),
        ("--nodes a:1 --port 0", "nowhere to listen"),
        ("--nodes a:1 --port -1", "--port '-1'"),
        ("--nodes a:1 --tls-port 65536", "--tls-port '65536'"),
        ("--nodes a:1 --tls-auth-clients perhaps", "--tls-auth-clients 'perhaps'"),
        ("--nodes a:1 --port many", "--port 'many'"),
        ("--nodes a:1 --loglevel loud", "--loglevel 'loud'"),
        ("--nodes a:1 --nosuch 1", "unknown option '--nosuch'"),
        ("nodes a:1", "unknown option 'nodes'"),
    ],
)
def test_wrong_arguments_are_one_line_and_status_2(line: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_arguments(line.split())
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_help_has_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: shardlab proxy --nodes ")
    own = [f"--{name.replace('_', '-')}" for name in ProxySettings.model_fields if name != "tls"]
    assert [name for name in own if name not in shown] == []


def test_wrong_arguments_end_the_process() -> None:
    done = subprocess.run([*RUN, "--port", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"shardlab proxy: [^\n]+\n", done.stderr)
    assert done.stdout == ""


def test_port_that_is_taken(cluster: RealCluster) -> None:
    port = str(cluster.nodes[0].port)
    arguments = ["--nodes", cluster.seeds, "--bind", "127.0.0.1", "--port", port]
    done = subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: bind: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_log_and_clean_end(cluster: RealCluster, name: str) -> None:
    with ProxyProcess(cluster.port + 202, ["--nodes", cluster.seeds]) as proxy, proxy.client() as client:
        assert client.set("a", 1)
        assert proxy.process is not None
        proxy.process.send_signal(signal.Signals[name])
        assert proxy.process.wait(10) == 0
    text = "".join(proxy.log)
    assert re.search(r"^\d+:P \d\d \w{3} \d{4} [\d:.]+ \* Ready to accept connections$", text, re.MULTILINE)
    assert f"Received {name} scheduling shutdown" in text
    assert text.splitlines()[-1].endswith("bye bye...")
