"""AdminPage: its files, and what each answer forbids the browser."""

import re
from pathlib import Path

from aiohttp.test_utils import make_mocked_request

import router
from router.shell.admin_page import POLICY, AdminPage

FOLDER = Path(router.__file__).parent / "admin"
PAGE = AdminPage()


def get(path, **headers):
    return PAGE.file(path).answer(make_mocked_request("GET", path, headers=headers))


def test_every_file_of_the_folder_is_served_and_nothing_else():
    """Whatever stands in a path."""
    names = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert set(PAGE.paths()) == {"/admin", "/admin/", *(f"/admin/{name}" for name in names - {"index.html"})}
    for path in (
        "/admin/../settings.py",
        "/admin/%2e%2e/settings.py",
        "/admin/__init__.py",
        "/admin/nothing.js",
    ):
        assert PAGE.file(path) is None


def test_every_answer_forbids_what_does_not_come_from_here():
    """No script in the page, nothing from elsewhere, no frame around it, and no text that becomes markup."""
    for path in PAGE.paths():
        headers = get(path).headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for",
    ):
        assert part in POLICY
    assert "unsafe" not in POLICY


def test_a_browser_asks_whether_it_has_the_newest():
    """An unchanged file is not sent again."""
    first = get("/admin/main.js")
    assert (first.status, first.content_type) == (200, "text/javascript")
    again = get("/admin/main.js", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, None)
    assert get("/admin").headers["Location"] == "/admin/"


def test_the_page_has_no_script_and_no_style_of_its_own():
    """The policy would refuse both; and it holds no key and no address of another server."""
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", page)
    for path in FOLDER.iterdir():
        text = path.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path.name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|localStorage|\beval\(", text
        ), path.name
        assert len(text.splitlines()) <= 400, path.name
