"""TrialKey: the key of the HTTP API for one run of embedded mode: all scopes, made anew each time, and shown
to whoever has started it.

It is kept in memory alone.
"""

from __future__ import annotations

import secrets

from router.core.api_keys import EVERYTHING, ApiKey, ApiKeys, hash_of


class TrialKey:
    """One run's."""

    def __init__(self) -> None:
        """Make a key that nobody can guess."""
        self.text = f"trial-{secrets.token_urlsafe(12)}"
        self.keys = ApiKeys([ApiKey("trial", (hash_of(self.text.encode()),), EVERYTHING)])

    async def start(self) -> None:
        """It is known already."""

    async def stop(self) -> None:
        """Nothing is to be ended."""
