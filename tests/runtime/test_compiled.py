"""What is told of compiled modules."""

from __future__ import annotations

import ast
import os
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from runtime.compiled import compiled_modules, outdated_modules

_ROOT = Path(__file__).parents[2]
_ROOMS = ("bench", "cluster", "lab", "node", "proxy", "runtime", "sentinel", "sim", "wire")


def _listed() -> list[str]:
    paths: list[str] = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["shardlab"]["compiled"]
    return paths


def _module(name: str, source: Path, built: Path) -> ModuleType:
    source.write_text("")
    built.write_bytes(b"")
    module = ModuleType(name)
    module.__file__ = str(built)
    return module


def test_a_source_newer_than_its_compiled_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = compiled_modules()
    suffix = ".cpython-311-x86_64-linux-gnu.so"
    for name in ("fresh", "changed"):
        source = tmp_path / f"{name}.py"
        module = _module(f"node.{name}", source, tmp_path / f"{name}{suffix}")
        monkeypatch.setitem(sys.modules, f"node.{name}", module)
        os.utime(source, (0, 0) if name == "fresh" else (2**31, 2**31))
    # Somebody else's.
    foreign = _module("foreign.other", tmp_path / "other.py", tmp_path / f"other{suffix}")
    monkeypatch.setitem(sys.modules, "foreign.other", foreign)
    assert compiled_modules() == sorted([*before, "node.changed", "node.fresh"])
    assert "node.changed" in outdated_modules()
    assert "node.fresh" not in outdated_modules()


def test_what_is_tested_is_what_the_sources_say() -> None:
    assert not outdated_modules(), "scripts/build-fast compiles them again, or --remove goes back to the sources"


def test_what_is_to_be_compiled_exists() -> None:
    listed = _listed()
    assert listed == sorted(listed)
    assert [path for path in listed if not (_ROOT / path).is_file()] == []


def test_whoever_extends_a_compiled_class_is_compiled_too() -> None:
    """An interpreted class cannot extend a compiled one."""
    files = [path.relative_to(_ROOT) for room in (*_ROOMS, "tests") for path in (_ROOT / room).rglob("*.py")]
    compiled = {path.removesuffix(".py").replace("/", ".") for path in _listed()}
    broken = []
    listed = set(_listed())
    for path in files:
        text = (_ROOT / path).read_text()
        if str(path) in listed or not any(f"from {module} import" in text for module in compiled):
            continue
        tree = ast.parse(text)
        imported = {
            alias.asname or alias.name: node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in compiled
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
                broken += [
                    f"{path}: {node.name}" for base in bases if isinstance(base, ast.Name) and base.id in imported
                ]
    assert not broken
