"""ApiKeyFile: the keys file of the HTTP API: read at the start and again whenever it changes.

One that can't be read or is wrong changes nothing: the keys before it count on, and each such state of the
file is logged once. No line of the log holds what stands in the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from router.core.api_keys import ApiKeys
from router.core.verbs import SCOPE_VERBS
from router.settings import RouterSettings
from warren.errors import SettingsError
from warren.logs import event, get_logger
from warren.supervision import cancel_and_wait, supervised

LOOK_S: Final = 1.0
MAX_FILE_BYTES: Final = 1024 * 1024

_logger = get_logger("router.api_keys")
_Stamp = tuple[int, int, int]


class ApiKeyFile:
    """The keys of one file."""

    def __init__(self, path: str) -> None:
        """Nothing is read before ``start``."""
        self.keys = ApiKeys()
        self._path = Path(path)
        self._given = bool(path)
        self._stamp: _Stamp | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the file, and look at it again and again. Without one there are no keys."""
        if not self._given:
            return
        self.look()
        task = asyncio.get_running_loop().create_task(self._run(), name="api-keys")
        self._task = supervised(task)

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        await cancel_and_wait(task)

    def look(self) -> None:
        """Read the file where it is another one than before, or was written to."""
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            keys = read_keys(self._path)
        except OSError as error:
            if self._stamp is not None or not self.keys:
                self._failed([error.strerror or type(error).__name__])
            self._stamp = None
        except SettingsError as error:
            self._failed(error.problems)
        else:
            self.keys = keys
            event(_logger, "api_keys_read", keys=len(keys))

    def _failed(self, problems: list[str]) -> None:
        event(
            _logger,
            "api_keys_failed",
            level=logging.ERROR,
            path=str(self._path),
            problems=problems,
            hint="the keys that were read before count on" if self.keys else "nobody is let in",
        )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()


def read_keys(path: Path) -> ApiKeys:
    """Read a keys file. Raises OSError, and SettingsError with every problem."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError([f"keys: at most {MAX_FILE_BYTES} bytes"])
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise SettingsError(["keys: no text in UTF-8"]) from None
    return ApiKeys.parse(text, SCOPE_VERBS)


def key_file_problems(settings: RouterSettings, _: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the keys file, where the HTTP API is to be served (a check of settings)."""
    path, name = settings.api.keys_file, "WARREN_ROUTER_API_KEYS_FILE"
    if not settings.api.port or (not path and settings.pusher.apps_file):
        return []
    if not path:
        return [f"{name}: is needed where WARREN_ROUTER_API_PORT is set"]
    try:
        read_keys(Path(path))
    except OSError as error:
        return [f"{name}: {error.strerror or type(error).__name__}"]
    except SettingsError as error:
        return [f"{name}: {problem}" for problem in error.problems]
    return []


def _stamp(path: Path) -> _Stamp:
    """Return what tells one state of a file from another; a mounted secret is a link that moves."""
    found = os.stat(path)  # noqa: PTH116 - that of what the link leads to, as Path's is
    return found.st_ino, found.st_mtime_ns, found.st_size
