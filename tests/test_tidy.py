"""Rules of the house that no linter knows: calls that product code must not make, and what it uses instead.

Product code runs unchanged in a simulation in virtual time, where a seed replays a failure. That holds only if
time, chance, files, threads and sockets come from `runtime/` or from the running loop, and if nothing depends on
the order of a set. `runtime/` itself is where the outside begins; `lab/`, `bench/` and tests run real processes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ("wire", "cluster", "node", "sentinel", "proxy")

# A dotted name, or the start of one, and what stands in its place.
FORBIDDEN = {
    "time": "runtime.clock (wall_ms, perf_ns), or the running loop's time() and call_at",
    "datetime.datetime.now": "runtime.clock.wall_ms()",
    "datetime.datetime.today": "runtime.clock.wall_ms()",
    "datetime.datetime.utcnow": "runtime.clock.wall_ms()",
    "datetime.date.today": "runtime.clock.wall_ms()",
    "random": "runtime.random.stream(purpose)",
    "secrets": "runtime.random.stream(purpose)",
    "uuid": "runtime.random",
    "os": "runtime: files (Disk), pid, background (fork)",
    "pathlib": "runtime.files.folder(path)",
    "shutil": "runtime.files.folder(path)",
    "tempfile": "Disk.replace",
    "glob": "Disk.listdir, wire.glob for Redis' patterns",
    "open": "runtime.files.folder(path).open_append, .create or .read",
    "io.open": "runtime.files.folder(path)",
    "threading": "one loop, no threads; Disk.sync awaits",
    "multiprocessing": "runtime.background",
    "concurrent.futures": "runtime.background",
    "subprocess": "runtime.background",
    "signal": "the command line's business, not the product's",
    "socket": "the running loop's create_server, create_connection and datagram endpoints",
    "select": "the running loop",
    "selectors": "the running loop",
    "asyncio.create_task": "runtime.tasks.Tasks.start",
    "asyncio.ensure_future": "runtime.tasks.Tasks.start",
    "asyncio.to_thread": "runtime.background",
    "asyncio.as_completed": "asyncio.gather, TaskGroup or wait: this one takes a set of coroutines in any order",
    "sys.exit": "a status returned from main",
    "print": "the log; sys.stderr in a main.py",
    "hash": "zlib.crc32 or another fixed function: hash() of bytes differs in every process",
    "id": "a number of its own: addresses differ in every process",
    "eval": "code",
    "exec": "code",
}

# A generator that is handed in is named by its type.
PERMITTED = {"random.Random"}

# (file, forbidden name): why it is right there.
ALLOWED: dict[tuple[str, str], str] = {}

# These take a set and give the same answer whatever its order.
ORDERLESS = {"sorted", "len", "min", "max", "sum", "any", "all", "set", "frozenset", "bool"}
# These make a sequence out of it, in whatever order it has.
SEQUENCE_MAKERS = {"list", "tuple", "iter", "next", "enumerate", "zip", "map", "filter", "reversed"}


def modules() -> list[Path]:
    return sorted(path for room in PRODUCT for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_product_code_asks_the_runtime(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [
        f"{name}:{line}: {used} -> {FORBIDDEN[rule]}"
        for line, used, rule in forbidden_uses(tree)
        if (name, rule) not in ALLOWED
    ]
    found += [f"{name}:{line}: iterates a set -> a dict keeps its order, or sorted()" for line in set_iterations(tree)]
    found += [f"{name}:{line}: state of a module or class -> of an instance" for line in shared_state(tree)]
    assert not found, "\n" + "\n".join(found)


def test_allowances_are_used() -> None:
    for name, rule in ALLOWED:
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        assert any(used == rule for _, _, used in forbidden_uses(tree)), f"{name} no longer uses {rule}"


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.monotonic()",
        "from time import time\ntime()",
        "import datetime as dt\ndt.datetime.now()",
        "from datetime import datetime\ndatetime.now()",
        "import random\nrandom.random()",
        "from random import randint\nrandint(1, 2)",
        "from os import urandom\nurandom(1)",
        "import os.path\nos.path.exists('x')",
        "open('x')",
        "import asyncio\nasyncio.create_task(f())",
        "print('x')",
        "import asyncio, time\nloop.call_later(1, time.time)",
        "names = [hash(x) for x in y]",
        "import datetime\ndatetime.datetime.utcnow()",
        "import uuid\nuuid.uuid4()",
        "from uuid import uuid1\nuuid1()",
        "import secrets\nsecrets.token_hex()",
        "import os\nos.urandom(1)",
        "from random import shuffle as mix\nmix(x)",
        "import random\nrandom.SystemRandom()",
        "import pathlib\npathlib.Path('x').read_bytes()",
        "from tempfile import mkstemp\nmkstemp()",
        "import threading\nthreading.Thread(target=f).start()",
        "import time\ntime.sleep(1)",
        "import asyncio\nasyncio.as_completed(x)",
        "import asyncio\nasyncio.to_thread(f)",
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor()",
        "import sys\nsys.exit(1)",
        "sorted(x, key=lambda y: id(y))",
    ],
)
def test_the_rule_sees(source: str) -> None:
    assert list(forbidden_uses(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import datetime\ndatetime.timedelta(1)",
        "disk.open('x')",
        "import asyncio\nasyncio.sleep(1)",
        "call.time(now)",
        "def f(time): return time + 1",
        "open: bool = True",
        "from random import Random\ndef f(rng: Random) -> int: return rng.randrange(3)",
        "import random\ndef f(rng: random.Random) -> int: return rng.randrange(3)",
        "self.id = 3",
    ],
)
def test_the_rule_lets_pass(source: str) -> None:
    assert not list(forbidden_uses(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: pass",
        "for x in set(names): pass",
        "seen: set[bytes] = f()\nfor x in seen: pass",
        "seen = {x for x in y}\nz = [x for x in seen]",
        "class A:\n def __init__(self): self.peers: set[str] = set()\n def f(self): return list(self.peers)",
        "seen = set()\nseen.pop()",
        "a = set()\nb = ','.join(a - c)",
    ],
)
def test_set_iterations_are_seen(source: str) -> None:
    assert list(set_iterations(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "for x in sorted({1, 2}): pass",
        "seen: set[bytes] = set()\nsorted(x for x in seen)",
        "seen: set[bytes] = set()\nany(x > 1 for x in seen)",
        "seen = set()\nif x in seen: pass",
        "seen = {}\nfor x in seen: pass",
        "seen: set[int] = set()\nlen(seen)\nother = {x for x in seen}",
    ],
)
def test_order_free_uses_of_sets_pass(source: str) -> None:
    assert not list(set_iterations(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "seen = {}\ndef f(x):\n seen[x] = 1",
        "seen = []\ndef f(x):\n seen.append(x)",
        "seen: dict[str, int] = {}\ndef f(x):\n del seen[x]",
        "from collections import deque\nseen = deque()\nclass A:\n def f(self): seen.popleft()",
        "count = 0\ndef f():\n global count\n count += 1",
    ],
)
def test_shared_state_is_seen(source: str) -> None:
    assert list(shared_state(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "TABLE = {1: 2}\ndef f(x): return TABLE[x]",
        "table = {}\nfor x in range(3): table[x] = 1",
        "seen = {}\ndef f(seen, x): seen[x] = 1",
        "class A:\n __slots__ = ('x',)\n limit = 3",
        "def f():\n seen = []\n seen.append(1)",
    ],
)
def test_what_is_fixed_when_imported_passes(source: str) -> None:
    assert not list(shared_state(ast.parse(source)))


def forbidden_uses(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, name used, rule broken) for every use of a forbidden name, resolved through the module's imports.

    An import alone breaks no rule: ruff removes the ones that are not used.
    """
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                imported[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    yield from _uses(tree, imported)


def _uses(node: ast.AST, imported: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    if isinstance(node, ast.Attribute | ast.Name):
        dotted = _dotted(node, imported)
        if dotted is not None:
            # The whole of a.b.c is one use; its parts are not looked at again.
            yield from ((node.lineno, dotted, rule) for rule in _rules(dotted))
            return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in imported:
        # A builtin is meant only where it is called: `open` and `id` are good names for fields.
        yield from ((node.lineno, node.func.id, rule) for rule in _rules(node.func.id))
    for child in ast.iter_child_nodes(node):
        yield from _uses(child, imported)


def _rules(name: str) -> list[str]:
    """The rule that forbids `name`, or the module or class it lies in."""
    if name in PERMITTED:
        return []
    parts = name.split(".")
    return [rule for length in range(1, len(parts) + 1) if (rule := ".".join(parts[:length])) in FORBIDDEN][:1]


def _dotted(node: ast.expr, imported: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return imported.get(node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, imported)
        return None if base is None else f"{base}.{node.attr}"
    return None


def set_iterations(tree: ast.AST) -> Iterator[int]:
    """Lines where the order of a set shows. Sets are known by how a name is annotated or assigned in the module."""
    names = _set_names(tree)
    harmless = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ORDERLESS
        for argument in call.args
    }
    for node in ast.walk(tree):
        exposed: list[ast.expr] = []
        if isinstance(node, ast.For | ast.AsyncFor):
            exposed = [node.iter]
        elif isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp) and id(node) not in harmless:
            exposed = [generator.iter for generator in node.generators]
        elif isinstance(node, ast.Call):
            named = isinstance(node.func, ast.Name) and node.func.id in SEQUENCE_MAKERS
            if named or (isinstance(node.func, ast.Attribute) and node.func.attr == "join"):
                exposed = node.args
            elif isinstance(node.func, ast.Attribute) and node.func.attr == "pop" and not node.args:
                exposed = [node.func.value]
        elif isinstance(node, ast.Starred):
            exposed = [node.value]
        if any(_is_set(value, names) for value in exposed):
            yield exposed[0].lineno


def _set_names(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and _says_set(node.annotation):
            names.add(_last_name(node.target))
        elif isinstance(node, ast.arg) and node.annotation is not None and _says_set(node.annotation):
            names.add(node.arg)
        elif isinstance(node, ast.Assign) and _is_set(node.value, set()):
            names.update(_last_name(target) for target in node.targets)
    return names - {""}


def _says_set(annotation: ast.expr) -> bool:
    base = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return isinstance(base, ast.Name) and base.id in {"set", "frozenset"}


def _last_name(target: ast.expr) -> str:
    if isinstance(target, ast.Name):
        return target.id
    return target.attr if isinstance(target, ast.Attribute) else ""


def _is_set(value: ast.expr, names: set[str]) -> bool:
    match value:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, op=ast.Sub() | ast.BitAnd() | ast.BitOr() | ast.BitXor(), right=right):
            return _is_set(left, names) or _is_set(right, names)
        case ast.Name() | ast.Attribute():
            return _last_name(value) in names
    return False


_MUTABLE = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
_MAKERS = {"dict", "list", "set", "bytearray", "deque", "defaultdict", "Counter", "OrderedDict"}
_CHANGES = {"append", "appendleft", "add", "update", "pop", "popleft", "popitem", "clear", "setdefault", "extend"} | {
    *("remove", "discard", "insert"),
}


def shared_state(tree: ast.Module) -> Iterator[int]:
    """Lines where a function changes what its module owns: all processes of a simulation live in one interpreter and
    would share it. Tables that are filled while a module is imported pass; what classes own is RUF012's business."""
    owned = {_last_name(target) for target, value in _assignments(tree.body) if _is_mutable(value)} - {""}
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
            local = {_last_name(target) for target, _ in _assignments(ast.walk(node)) if isinstance(target, ast.Name)}
            yield from _changes(node, owned - arguments - local)


def _assignments(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.expr, ast.expr]]:
    for node in nodes:
        if isinstance(node, ast.Assign):
            yield from ((target, node.value) for target in node.targets)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield node.target, node.value


def _is_mutable(value: ast.expr) -> bool:
    made = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in _MAKERS
    return made or isinstance(value, _MUTABLE)


def _changes(function: ast.AST, names: set[str]) -> Iterator[int]:
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changed: ast.expr = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
            changed = node.func.value
        else:
            continue
        if isinstance(changed, ast.Name) and changed.id in names:
            yield node.lineno
