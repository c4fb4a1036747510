"""The rules of the house that a linter can't see. What each forbids, and why, is in CONTRIBUTING.md under
"Layers".
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from warren.topology import DEFAULT_PREFIX, Topology

ROOT = Path(__file__).parents[2]
MEMBERS = (
    "libs/warren/src/warren",
    "services/gateway/src/gateway",
    "services/router/src/router",
    "services/embedded/src/embedded",
)
# What is mirrored and named as the members are, and ships in nothing.
TOOLS = ("tools/rabbit_nodes/src/rabbit_nodes", "tools/warren_conformance/src/warren_conformance")
# What is published for applications and imports nothing of ours; it keeps the members' rules.
CLIENTS = ("clients/backend_python/src/warren_backend", "clients/python/src/warren_client")
# The composition roots are tested whole, by tests/integration and tests/page.
WITHOUT_TEST_FILE = {"__init__.py", "__main__.py", "app.py"}


@cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """Return the repository's files (tracked, or new and not ignored) with these suffixes, or all of them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:  # an unpacked archive
        hidden = {".git", ".venv", "node_modules", "__pycache__"}
        found = [path for path in ROOT.rglob("*") if not hidden & set(path.parts)]
    return tuple(path for path in found if path.is_file() and (not suffixes or path.suffix in suffixes))


def sources(members: tuple[str, ...] = MEMBERS + CLIENTS) -> list[Path]:
    return [path for path in files(".py") if any(path.is_relative_to(ROOT / member) for member in members)]


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each string in the code, docstrings left out, the parts of f-strings each by
    itself.
    """
    tree = parse(path)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str | bytes)
            and id(node) not in docstrings
        ):
            yield node.lineno, node.value if isinstance(node.value, str) else node.value.decode("latin-1")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def spelled(pattern: re.Pattern[str], exempt: Callable[[str], bool]) -> list[str]:
    """Return where a source file has a string that matches."""
    return [
        f"{name_of(path)}:{line}: {text!r}"
        for path in sources()
        if not exempt(name_of(path))
        for line, text in strings(path)
        if pattern.search(text)
    ]


def environment_reads(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv"):
                yield node.lineno
            case ast.ImportFrom(module="os", names=names) if {"environ", "getenv"} & {
                each.name for each in names
            }:
                yield node.lineno


def amqp_pattern() -> re.Pattern[str]:
    topology = Topology(DEFAULT_PREFIX, shards=1)
    durable = {exchange.name for exchange in topology.exchanges()} | {
        queue.name for queue in topology.queues()
    }
    last = sorted((name.removeprefix(DEFAULT_PREFIX + ".") for name in durable), key=len, reverse=True)
    names = "|".join(re.escape(name.removesuffix("0")) for name in last)  # any shard's: "log."
    # whole (warren.ingress), or the part after a prefix in an f-string ({prefix}.ingress)
    return re.compile(rf"(?:(?<![\w.]){re.escape(DEFAULT_PREFIX)}|^)\.(?:{names})(?![a-z])")


def test_only_settings_read_the_environment() -> None:
    """No module but the settings.py files asks os for the environment."""
    found = [
        f"{name_of(path)}:{line}"
        for path in sources()
        if path.name != "settings.py"
        for line in environment_reads(parse(path))
    ]
    assert found == []


def test_amqp_names_are_spelled_in_the_topology_alone() -> None:
    """Every exchange, queue and routing pattern has its name from Topology."""
    assert (
        spelled(
            amqp_pattern(), lambda name: name.endswith(("warren/topology.py", "warren_backend/core/names.py"))
        )
        == []
    )


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("warren.ingress", True),
        ("send to warren.notify.dead now", True),
        (".log.", True),
        ("warren.log.7", True),
        ("warren.log", False),
        ("warren.bus", False),
        ("warren.notifyx", False),
        ("x-warren.ingress", True),
        ("/.notify", False),
    ],
)
def test_the_amqp_pattern_sees_names_and_nothing_else(text: str, hit: bool) -> None:
    """The rule above would notice a name, whole or behind a prefix, and leaves loggers alone."""
    assert bool(amqp_pattern().search(text)) == hit


def test_span_names_are_spelled_in_telemetry_alone() -> None:
    """No module but telemetry has an attribute of the messaging conventions or one of our own."""
    attributes = re.compile(r"^(messaging\.[a-z_.]+|warren\.(message\.type|shard|seq|recipients))$")
    assert spelled(attributes, lambda name: name.endswith("warren/telemetry.py")) == []


def test_metric_names_are_spelled_in_metrics_alone() -> None:
    """No module but metrics has the name of a metric."""
    names = re.compile(r"\bwarren_(gateway|router|bus)_[a-z]")
    assert spelled(names, lambda name: name.endswith("warren/metrics.py")) == []


@pytest.mark.parametrize("service", ["gateway", "router"])
def test_the_composition_roots_decide_nothing(service: str) -> None:
    """A service's app.py builds, wires, begins and ends: no branch and no function of its own for a part to call."""
    path = ROOT / f"services/{service}/src/{service}/app.py"
    found = [
        f"{name_of(path)}:{node.lineno} {type(node).__name__}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.If | ast.Match | ast.While | ast.Lambda)
    ]
    assert found == []


ARGUMENTS_MAX = 7


def constructor_arguments(node: ast.ClassDef) -> int:
    """Return how many arguments a class's constructor takes, without self. A plain record takes what it holds,
    and counts for nothing: a frozen dataclass, or a struct.
    """
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            return len([*each.args.posonlyargs, *each.args.args, *each.args.kwonlyargs]) - 1
    decorators = [ast.unparse(each) for each in node.decorator_list]
    if any(each.startswith("dataclass") and "frozen=True" not in each for each in decorators):
        taken = (each for each in node.body if isinstance(each, ast.AnnAssign))
        return sum("init=False" not in ast.unparse(each) for each in taken)
    return 0


def test_no_constructor_takes_more_than_seven_arguments() -> None:
    """What belongs together is one argument: a frozen record with a meaning."""
    found = {
        node.name
        for path in sources()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef) and constructor_arguments(node) > ARGUMENTS_MAX
    }
    assert found == set()


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("class A:\n  def __init__(self, a, /, b, *, c=1): ...", 3),
        ("@dataclass(slots=True)\nclass A:\n  a: int\n  b: int = 1", 2),
        ("@dataclass\nclass A:\n  a: int\n  b: int = field(default=1, init=False)", 1),
        ("@dataclass\nclass A:\n  a: int", 1),
        ("@dataclass(frozen=True, slots=True)\nclass A:\n  a: int", 0),
        ("class A(Struct, frozen=True):\n  a: int", 0),
        ("class A:\n  a: ClassVar[int] = 1", 0),
    ],
)
def test_arguments_are_counted_wherever_they_are_written(text: str, taken: int) -> None:
    """The rule above sees constructors that are written and those that a dataclass gets; records are free."""
    (node,) = ast.parse(text).body
    assert isinstance(node, ast.ClassDef)
    assert constructor_arguments(node) == taken


def test_every_source_file_has_its_test_file() -> None:
    """tests/unit mirrors the sources: warren/bus/memory/bus.py is tested by
    tests/unit/warren/bus/test_memory.py.
    """
    missing = []
    members = MEMBERS + TOOLS + CLIENTS
    for path in sources(members):
        member = next(ROOT / member for member in members if path.is_relative_to(ROOT / member))
        mirror = ROOT / "tests/unit" / member.name / path.relative_to(member).with_name(f"test_{path.name}")
        if path.name not in WITHOUT_TEST_FILE and not mirror.is_file():
            missing.append(f"{name_of(path)} has no {name_of(mirror)}")
    assert missing == []


def test_markdown_has_short_lines() -> None:
    """A sentence a line, and no line past 200 characters but rows of tables and pictures."""
    long = [
        f"{name_of(path)}:{number}"
        for path in files(".md")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 200 and not line.lstrip().startswith(("|", "!["))
    ]
    assert long == []


def test_every_module_says_what_it_is_for() -> None:
    """Each Python file begins with a docstring."""
    assert [name_of(path) for path in files(".py") if not ast.get_docstring(parse(path))] == []


def test_every_test_says_what_is_true() -> None:
    """Each test function and each Hypothesis rule book has a docstring."""
    silent = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in files(".py")
        if path.is_relative_to(ROOT / "tests") and path.name.startswith("test_")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_nothing_is_a_manager() -> None:
    """Names are nouns of the domain: no file and no class is a manager, handler, helper or util."""
    vague = re.compile(r"(manager|handler|helper|utils?)$", re.IGNORECASE)
    found = [name_of(path) for path in files(".py", ".js") if vague.search(path.stem)]
    found += [
        f"{name_of(path)}: class {node.name}"
        for path in sources(MEMBERS + TOOLS + CLIENTS)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef) and vague.search(node.name)
    ]
    assert found == []


def index_hosts() -> set[str]:
    """Return the hosts of the package index that pip uses here, and of the public ones."""
    # put together from parts, so that this file passes its own rule
    hosts = {
        ".".join(parts)
        for parts in (("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"))
    }
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    for url in re.findall(r"https?://[^\s'\"\\]+", said.stdout):
        hosts.add(urlsplit(url).hostname or "")
    return {host for host in hosts if "." in host and not host.startswith("127.")}


def test_no_file_names_an_index_or_a_machine() -> None:
    """No file of the repository holds a package index's host, or a path that exists on one machine only."""
    hosts = "|".join(re.escape(host) for host in sorted(index_hosts()))
    machine = "|".join(("work", "root", "home/[a-z]+"))
    pattern = re.compile(rf"{hosts}|(?<![\w.}}~-])/(?:{machine})/")
    found = []
    for path in files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a picture
        found += [
            f"{name_of(path)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    assert found == []


def test_locks_have_hashes_and_no_index() -> None:
    """Each requirement of a lock is pinned with hashes, and no option points anywhere."""
    locks = sorted((ROOT / "requirements").glob("*.lock"))
    assert locks
    for path in locks:
        text = path.read_text()
        assert (
            re.findall(
                r"^(?:-i|-f|--(?:extra-)?index-url|--find-links|--trusted-host)\b.*", text, re.MULTILINE
            )
            == []
        )
        entries = re.split(r"\n(?=[a-z0-9])", text[text.index("\n\n") if text.startswith("\n") else 0 :])
        unpinned = [
            entry.split()[0]
            for entry in entries
            if not entry.startswith("#") and "--hash=sha256:" not in entry
        ]
        assert unpinned == [], path.name


def test_the_makefile_is_short_and_each_target_is_explained() -> None:
    """The Makefile stays under 80 lines without logic, and help shows every target."""
    text = (ROOT / "Makefile").read_text()
    assert len(text.splitlines()) < 80
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert targets is not None
    assert set(re.findall(r"^([a-z0-9-]+):.*## \S", text, re.MULTILINE)) == set(targets[1].split())
    assert re.findall(r"^\t.*(?:\bif\b|\bfor\b|&&|\|\|)", text.replace("awk -F", ""), re.MULTILINE) == []
