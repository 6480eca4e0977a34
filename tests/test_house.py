"""The house as DESIGN lays it out: packages, import rules, the command line's front door, documents that hold."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.txt", "requirements-dev.txt")


def tracked(pattern: str) -> list[Path]:
    """Files of the project (not of its environment or its caches), by pattern."""
    return [
        path
        for path in ROOT.glob(pattern)
        if not any(part.startswith((".", "build")) for part in path.relative_to(ROOT).parts)
    ]


def test_imports_go_one_way() -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_folder_with_code_is_a_package() -> None:
    # tests/node/__init__.py without tests/__init__.py would hide the product's `node`.
    bare = {path.parent for path in tracked("**/*.py") if not (path.parent / "__init__.py").exists()}
    assert not {str(path.relative_to(ROOT)) for path in bare} - {"scripts"}


def test_every_room_is_in_the_package_lists() -> None:
    rooms = {
        path.parent.name
        for path in ROOT.glob("*/__init__.py")
        if not path.parent.name.startswith(".") and path.parent.name != "tests"
    }
    # Benchmarks are run from a checkout and are not part of what is installed.
    installed = rooms - {"bench"}
    tool = PROJECT["tool"]
    assert {name.removesuffix("*") for name in tool["setuptools"]["packages"]["find"]["include"]} == installed
    assert set(tool["coverage"]["run"]["source"]) == installed
    assert rooms <= set(tool["mypy"]["packages"])
    assert set(tool["importlinter"]["root_packages"]) == rooms


def test_no_room_is_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "common", "misc"}
    assert not [path for path in tracked("**/*.py") if path.stem in drawers or path.parent.name in drawers]


@pytest.mark.parametrize(
    "command", ["", "up", "status", "kill", "pause", "resume", "restart", "down", "chaos", "chaos run", "chaos list"]
)
def test_help(command: str) -> None:
    result = shardlab(*command.split(), "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: shardlab {command}".rstrip())


def test_no_command_is_a_usage_error() -> None:
    result = shardlab()
    assert result.returncode == 2
    assert "usage: shardlab" in result.stderr


@pytest.mark.parametrize("name", LOCKS)
def test_locks_are_pinned_and_belong_to_no_machine(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|file://|--index-url|--find-links|^-e|/work|/opt", text, re.MULTILINE)
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins
    assert all("==" in pin for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)


def test_locks_have_every_dependency() -> None:
    wanted = PROJECT["project"]["dependencies"]
    assert not names(wanted) - locked("requirements.txt")
    assert not names(wanted + PROJECT["project"]["optional-dependencies"]["dev"]) - locked("requirements-dev.txt")
    # What runs is the same in both.
    assert not pins("requirements.txt") - pins("requirements-dev.txt")


@pytest.mark.parametrize("document", ["README.md", "docs/guide.md"])
def test_documents_name_commands_that_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    commands = set(re.findall(r"shardlab ([a-z]+)", text))
    assert commands
    help_text = shardlab("--help").stdout
    assert not {command for command in commands if not re.search(rf"^    {command}\b", help_text, re.MULTILINE)}
    options = set(re.findall(r"shardlab up[^\n`]*?(--[a-z-]+)", text)) | set(re.findall(r"`(--[a-z-]+)", text))
    up_help = shardlab("up", "--help").stdout
    assert not {option for option in options if option not in up_help}


@pytest.mark.parametrize("document", ["README.md", "docs/guide.md"])
def test_documents_name_files_that_exist(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if not (path.parent / link).exists()]


def shardlab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )


def names(requirements: list[str]) -> set[str]:
    return {match[0].lower().replace("_", "-") for text in requirements if (match := re.match(r"[\w-]+", text))}


def pins(lock: str) -> set[str]:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    return {line.rstrip(" \\") for line in lines if line and not line.startswith((" ", "#"))}


def locked(lock: str) -> set[str]:
    return names([*pins(lock)])
