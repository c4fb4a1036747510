"""The documentation against the repository: every link leads to a file, and to a heading in it, that is there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Return every Markdown page of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]
    hidden = {".git", ".venv", "node_modules"}  # an unpacked archive
    return [path for path in ROOT.rglob("*.md") if not hidden & set(path.parts)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return frozenset(found)


def broken(page: Path) -> Iterator[str]:
    """Yield each relative link of a page that leads nowhere."""
    for target in LINK.findall(CODE.sub("", page.read_text())):
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        if re.match(r"[a-z]+:", target):
            continue
        if not found.exists() or (
            anchor and found.suffix == ".md" and anchor not in anchors(found.resolve())
        ):
            yield target


def test_every_link_leads_somewhere() -> None:
    """Each relative link of a Markdown page names a file that exists, and each anchor a heading of it."""
    part = ROOT / "scripts/docs/log_page.md"  # of docs/log.md, and its links are that page's
    found = [
        f"{page.relative_to(ROOT)}: {target}" for page in pages() if page != part for target in broken(page)
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
