"""AdminPage: the files of the admin page, which a router serves beside its HTTP API.

They hold no secret and are everybody's who reaches the port; what the page shows it asks of the API, with the
key that its user types. Each answer forbids the browser to run, load or send anything that is not from here,
and to show the page inside another one. It reads the files once and never writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import hdrs, web

PATH: Final = "/admin/"
_TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
# Trusted Types: no text can become markup, whatever a room, a user or a message is called.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class AdminFile:
    """One file, or where it is found (``moved``)."""

    body: bytes = b""
    type: str = ""
    etag: str = ""
    moved: str = ""

    def answer(self, request: web.BaseRequest) -> web.Response:
        """Return the answer to a GET or HEAD."""
        if self.moved:
            return web.Response(status=308, headers={**_HEADERS, hdrs.LOCATION: self.moved})
        headers = {**_HEADERS, hdrs.ETAG: self.etag}
        if request.headers.get(hdrs.IF_NONE_MATCH) == self.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, content_type=self.type, charset="utf-8", headers=headers)


class AdminPage:
    """All files of the page."""

    def __init__(self) -> None:
        """Read them."""
        self._files = {"/admin": AdminFile(moved=PATH)}
        for found in files("router").joinpath("admin").iterdir():
            kind = _TYPES.get(found.name.rpartition(".")[2])
            if kind is not None:
                body = found.read_bytes()
                path = PATH if found.name == "index.html" else f"{PATH}{found.name}"
                self._files[path] = AdminFile(body, kind, f'"{sha256(body).hexdigest()[:32]}"')

    def file(self, path: str) -> AdminFile | None:
        """Return the file of a path; None where there is none."""
        return self._files.get(path)

    def paths(self) -> list[str]:
        """Return where there is one."""
        return sorted(self._files)
