"""ApiKeyFile: the keys file of the HTTP API, as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from router.core.api_keys import ApiKeys
from router.core.verbs import SCOPE_VERBS
from router.settings import RouterSettings
from warren.logs import get_logger
from warren.watched_file import FileKind, WatchedFile

_KIND: Final = FileKind(
    "keys",
    partial(ApiKeys.parse, verbs=SCOPE_VERBS),
    "api_keys",
    get_logger("router.api_keys"),
    "nobody is let in",
)
read_keys = _KIND.read


class ApiKeyFile(WatchedFile[ApiKeys]):
    """The keys of one file."""

    def __init__(self, path: str) -> None:
        """Nothing is read before ``start``; without a path there are no keys."""
        super().__init__(path, _KIND, ApiKeys())

    @property
    def keys(self) -> ApiKeys:
        """Those that count now."""
        return self.content


def key_file_problems(settings: RouterSettings, _: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the keys file, where the HTTP API is to be served (a check of settings)."""
    path, name = settings.api.keys_file, "WARREN_ROUTER_API_KEYS_FILE"
    if not settings.api.port or (not path and settings.pusher.apps_file):
        return []
    if not path:
        return [f"{name}: is needed where WARREN_ROUTER_API_PORT is set"]
    return _KIND.problems(path, name)
