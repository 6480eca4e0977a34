"""What the front door lets in, and where it sends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab import cli


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab", *words], capture_output=True, text=True, check=False, timeout=30, cwd=folder
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--masters", "0"], "shardlab up: --masters: Input should be greater than or equal to 1"),
        (["--port-base", "80"], "shardlab up: --port-base: Input should be greater than or equal to 1024"),
        (
            ["--failover", "cluster", "--sentinels", "3"],
            "shardlab up: sentinels and replicas must not both fail a master over",
        ),
        (["--masters", "2", "--failover", "cluster"], "shardlab up: with fewer than three masters no majority"),
    ],
)
def test_a_lab_that_cannot_be_is_a_usage_error(options: list[str], message: str, tmp_path: Path) -> None:
    done = run("up", "--dir", str(tmp_path / "lab"), *options)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize("words", [["up", "--engine", "memcached"], ["up", "--masters", "many"], ["kill"], ["fly"], []])
def test_what_is_not_understood_is_answered_with_usage(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: shardlab")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", ["status", "down", "kill node-0", "pause node-0", "resume node-0", "restart node-0"]
)
def test_commands_on_no_lab(command: str, tmp_path: Path) -> None:
    name, *words = command.split()
    done = run(name, "--dir", "nowhere", *words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "shardlab: no lab in nowhere; start one with: shardlab up --dir nowhere\n"
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("up", "--dir", str(tmp_path / "file" / "lab"))
    assert done.returncode == 1
    assert done.stderr == f"shardlab: cannot use {tmp_path}/file/lab: Not a directory\n"


def test_a_program_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["up", "--engine", "redis", "--dir", str(tmp_path / "lab")]) == 1
    assert capsys.readouterr().err.startswith("shardlab: the engine redis needs redis-server, which is not installed")


def test_the_programs_get_the_rest_of_the_line_untouched() -> None:
    assert run("server", "--version").stdout.startswith("Redis server v=")
    done = run("server", "--no-such-directive", "x")
    assert done.returncode == 1
    assert "*** FATAL CONFIG FILE ERROR" in done.stderr


@pytest.mark.parametrize("words", [["sentinel"], ["server", "--sentinel"]])
def test_a_sentinel_by_either_name(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 1
    assert "Sentinel needs config file on disk to save state" in done.stdout + done.stderr


def test_a_program_loads_nothing_of_the_lab() -> None:
    # Ten of them start at once; what one does not need is paid for ten times.
    code = (
        "import sys; from lab.cli import main; main(['server', '--version']);"
        "print([name for name in sys.modules if name in ('argparse', 'rich')"
        " or name.startswith('lab.') and name not in ('lab.cli', 'lab.programs')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_option_is_answered_with_the_commands_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["up", "--masers", "3"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: shardlab up ")
    assert said.endswith("shardlab up: error: unrecognized arguments: --masers 3\n")
