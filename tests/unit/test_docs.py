"""The documentation against the repository: what a page links to or names is there, and docstrings say what a
module does, not who uses it.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from router.settings import RouterSettings
from warren.metrics import GatewayMetrics, RouterMetrics
from warren.settings import describe

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
# What they say was true on their day.
RECORDS = re.compile(r"CHANGELOG\.md|docs/decisions/|bench/results/")
# Their links are those of the pages in docs/ of which they are a part.
PARTS = re.compile(r"scripts/docs/\w+_page\.md")
# Read by the tests and by scripts, which have no settings; or by nobody any more.
OTHER_VARIABLES = re.compile(r"WARREN_(TEST_\w+|TRACES|GATEWAY_SERVICE_HOST)")

# "``app.py`` has one for each shard", "the codecs call it", "nobody imports it but …": such lists rot.
CALLERS = re.compile(
    r"(?<!never )\b(?:calls?|imports) (?:it|them)\b"
    r"|``[\w./]+\.py`` (?:has|makes|owns|builds|starts|runs|drives|asks|fills|reads|ticks) (?:it|them|one|several)\b"
    r"|\b(?:nobody|everybody) (?:else )?(?:imports|calls)\b",
    re.IGNORECASE,
)


@cache
def pages() -> tuple[Path, ...]:
    """Return every Markdown page of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return tuple(path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file())
    hidden = {".git", ".venv", "node_modules"}  # an unpacked archive
    return tuple(path for path in ROOT.rglob("*.md") if not hidden & set(path.parts))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return frozenset(found)


def broken(page: Path) -> Iterator[str]:
    """Yield each relative link of a page that leads nowhere."""
    for target in LINK.findall(BLOCK.sub("", page.read_text())):
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        if re.match(r"[a-z]+:", target):
            continue
        if not found.exists() or (
            anchor and found.suffix == ".md" and anchor not in anchors(found.resolve())
        ):
            yield target


@cache
def spoken() -> tuple[tuple[Path, str], ...]:
    """Return (page, text) of everything in code font, blocks too, of the pages that speak of the present."""
    found = []
    for page in pages():
        if not RECORDS.match(page.relative_to(ROOT).as_posix()):
            text = page.read_text()
            found += [(page, code) for code in CODE.findall(BLOCK.sub("", text))]
            found += [(page, line) for block in BLOCK.findall(text) for line in block.splitlines()]
    return tuple(found)


def said(page: Path, name: str) -> str:
    return f"{page.relative_to(ROOT)}: {name}"


def test_every_link_leads_somewhere() -> None:
    """Each relative link of a Markdown page names a file that exists, and each anchor a heading of it."""
    found = [
        said(page, target)
        for page in pages()
        if not PARTS.fullmatch(page.relative_to(ROOT).as_posix())
        for target in broken(page)
    ]
    assert found == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """The rule above sees a missing file and a missing heading, and passes over code and the web."""
    (tmp_path / "other.md").write_text("# Two words, it's said\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](#here) [b](other.md#two-words-its-said) [c](https://example.com/x)\n"
        "[d](#there) [e](other.md#no) [f](none.md)\n```\n[g](none)\n```\n"
    )
    assert list(broken(page)) == ["#there", "other.md#no", "none.md"]


def test_every_path_exists() -> None:
    """A path in code font that begins with a folder of the repository, or of a service or warren, is there."""
    bases = [ROOT, ROOT / "libs/warren/src", *ROOT.glob("services/*/src/*")]
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} | {"core", "shell", "warren"}
    missing = [
        said(page, word)
        for page, text in spoken()
        if not text.startswith("kubectl ")  # its deploy/… is a Deployment
        for word in (each.strip(".,;:()'\"") for each in text.split())
        if re.fullmatch(r"[\w.-]+(/[\w.*-]+)+/?", word) and word.split("/")[0] in tops
        if not any(any(base.glob(word)) for base in [*bases, page.parent])
    ]
    assert missing == []


def test_every_module_that_is_run_exists() -> None:
    """What follows ``python -m`` is a module that can be imported."""
    names = {name for _, text in spoken() for name in re.findall(r"python3? -m ([\w.]+)", text)}
    assert "bench.hop" in names
    for name in sorted(names):
        import_module(name.removesuffix(".__main__"))


def test_every_make_target_exists() -> None:
    """Each ``make …`` in code font is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    missing = [
        said(page, target)
        for page, text in spoken()
        for target in re.findall(r"(?:^|[^\w-])make ([a-z0-9-]+)", text)
        if target not in targets
    ]
    assert missing == []


def test_every_variable_exists() -> None:
    """Each WARREN_… name is a setting, or one that only tests and scripts read."""
    settings = {variable.name for cls in (GatewaySettings, RouterSettings) for variable in describe(cls)}
    missing = [
        said(page, name)
        for page, text in spoken()
        for name in re.findall(r"\bWARREN_[A-Z0-9_]*[A-Z0-9]\b(?!_?…)", text)
        if name.removesuffix("_FILE") not in settings and name not in settings
        if not OTHER_VARIABLES.fullmatch(name)
    ]
    assert missing == []


def test_every_metric_exists() -> None:
    """Each warren_gateway_… and warren_router_… name is a series that a service exposes."""
    known = {
        name
        for metrics in (GatewayMetrics(), RouterMetrics())
        for name in metrics.registry._names_to_collectors
    }
    missing = [
        said(page, name)
        for page, text in spoken()
        for name in re.findall(r"\bwarren_(?:gateway|router)_[a-z_]*[a-z]\b", text)
        if name not in known
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("Pure. ``core/feeds.py`` owns one for each log that is read.", True),
        ("The codecs call it.", True),
        ("Nobody imports it but ``__main__``.", True),
        ("Core code never imports it: there, time is an argument.", False),
        ("What is due is in ``core/event_backlog.py``.", False),
    ],
)
def test_the_rule_on_callers_tells_them_from_promises(text: str, hit: bool) -> None:
    """A sentence on who uses a module is seen; one on what it must never do, or where something is, is not."""
    assert bool(CALLERS.search(text)) == hit


def test_no_module_lists_its_callers() -> None:
    """The docstring of a module outside of the tests does not say who uses it."""
    found = []
    for folder in ("libs", "services", "tools", "scripts", "bench", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
            found += [f"{path.relative_to(ROOT)}: … {hit[0]} …" for hit in CALLERS.finditer(text)]
    assert found == []
