"""PusherAppsFile: the file with the apps of the Pusher protocol, as it is now."""

from __future__ import annotations

from typing import Final

from warren.logs import get_logger
from warren.pusher.apps import Apps
from warren.settings import PusherSettings
from warren.watched_file import FileKind, WatchedFile

VARIABLE: Final = "WARREN_PUSHER_APPS_FILE"

_KIND: Final = FileKind("apps", Apps.parse, "pusher_apps", get_logger("pusher_apps"), "no app is served")
read_apps = _KIND.read


class PusherAppsFile(WatchedFile[Apps]):
    """The apps of one file; of none where ``path`` is empty."""

    def __init__(self, path: str) -> None:
        """Nothing is read before ``start``."""
        super().__init__(path, _KIND, Apps())

    @property
    def apps(self) -> Apps:
        """Those that count now."""
        return self.content


def apps_file_problems(settings: PusherSettings) -> list[str]:
    """Return what is wrong with the file of apps, one line for each problem; nothing where there is none."""
    return _KIND.problems(settings.apps_file, VARIABLE) if settings.apps_file else []
