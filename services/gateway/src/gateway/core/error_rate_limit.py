"""ErrorRateLimit: how often one client may be told that what it sends is refused.

Each refusal is an answer, so a client that sends only what is refused makes the gateway work for nothing. A
few are answered at once; then the client is left unread for a while after each one, so that it is held back
by its own connection; and where that goes on for long the connection ends. A client that heeds its answers
never notices. Time is an argument.
"""

from __future__ import annotations

from gateway.core.client_limits import TokenBucket

# Refusals that are answered at once, and in how many ms as many more are.
ANSWERS = 32
ANSWERS_PER_MS = 4_000
# So long a client is held back after one refusal at most; other messages and the end of its socket wait
# meanwhile.
HOLD_MAX_S = 10.0
# After so long without being held back a client counts as one that was never.
CALM_S = 10.0
# Who had to be held back again and again for so long is closed.
PATIENCE_S = 30.0


class ErrorRateLimit:
    """With one client."""

    __slots__ = ("_answers", "_held_since", "_held_until")

    def __init__(self) -> None:
        """Begin patient."""
        self._answers = TokenBucket(ANSWERS, ANSWERS_PER_MS)
        self._held_since = self._held_until = 0.0

    def refused(self, now: float, wait_s: float) -> float | None:
        """A message was refused: return for how many seconds nothing more is to be read (0: go on),
        or None: enough. ``wait_s``: what comes sooner than in so long is refused too.
        """
        hold_s = self._answers.take(now) / 1_000
        if not hold_s:
            return 0.0
        if now - self._held_until > CALM_S:
            self._held_since = now
        elif now - self._held_since >= PATIENCE_S:
            return None
        hold_s = min(max(hold_s, wait_s), HOLD_MAX_S)
        self._held_until = now + hold_s
        return hold_s
