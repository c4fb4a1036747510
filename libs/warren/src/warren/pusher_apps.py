"""PusherAppsFile: the file with the apps of the Pusher protocol: read at the start and again whenever it
changes.

One that can't be read or is wrong changes nothing: the apps before it count on, and each such state of the
file is logged once. No line of the log holds what stands in the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

from warren.errors import SettingsError
from warren.logs import event, get_logger
from warren.pusher.apps import Apps
from warren.settings import PusherSettings
from warren.supervision import cancel_and_wait, supervised

LOOK_S: Final = 1.0
MAX_FILE_BYTES: Final = 1024 * 1024
VARIABLE: Final = "WARREN_PUSHER_APPS_FILE"

_logger = get_logger("pusher_apps")
_Stamp = tuple[int, int, int]


class PusherAppsFile:
    """The apps of one file; of none where ``path`` is empty."""

    def __init__(self, path: str) -> None:
        """Nothing is read before ``start``."""
        self.apps = Apps()
        self._path = Path(path)
        self._given = bool(path)
        self._stamp: _Stamp | None = None
        self._task: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        """Say whether there is a file at all."""
        return self._given

    async def start(self) -> None:
        """Read the file, and look at it again and again."""
        if not self._given or self._task is not None:
            return
        self.look()
        task = asyncio.get_running_loop().create_task(self._run(), name="pusher-apps")
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
            apps = read_apps(self._path)
        except OSError as error:
            if self._stamp is not None or not self.apps:
                self._failed([error.strerror or type(error).__name__])
            self._stamp = None
        except SettingsError as error:
            self._failed(error.problems)
        else:
            self.apps = apps
            event(_logger, "pusher_apps_read", apps=len(apps))

    def _failed(self, problems: list[str]) -> None:
        event(
            _logger,
            "pusher_apps_failed",
            level=logging.ERROR,
            path=str(self._path),
            problems=problems,
            hint="the apps that were read before count on" if self.apps else "no app is served",
        )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()


def read_apps(path: Path) -> Apps:
    """Read a file of apps. Raises OSError, and SettingsError with every problem."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError([f"apps: at most {MAX_FILE_BYTES} bytes"])
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise SettingsError(["apps: no text in UTF-8"]) from None
    return Apps.parse(text)


def apps_file_problems(settings: PusherSettings) -> list[str]:
    """Return what is wrong with the file of apps, one line for each problem; nothing where there is none."""
    path = settings.apps_file
    if not path:
        return []
    try:
        read_apps(Path(path))
    except OSError as error:
        return [f"{VARIABLE}: {error.strerror or type(error).__name__}"]
    except SettingsError as error:
        return [f"{VARIABLE}: {problem}" for problem in error.problems]
    return []


def _stamp(path: Path) -> _Stamp:
    """Return what tells one state of a file from another; a mounted secret is a link that moves."""
    found = os.stat(path)  # noqa: PTH116 - that of what the link leads to, as Path's is
    return found.st_ino, found.st_mtime_ns, found.st_size
