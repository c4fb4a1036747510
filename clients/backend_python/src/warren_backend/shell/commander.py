"""Commander over AMQP: carries commands to Warren and brings the answers back; what can't be done now is
asked for again under the same id, until its time is over. It knows no verb.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any, Final

from warren_backend.core import command
from warren_backend.core.backoff import Backoff
from warren_backend.core.errors import CommandFailed, CommandUnanswered
from warren_backend.core.names import Names
from warren_backend.core.outbox import Limits
from warren_backend.shell import tracing
from warren_backend.shell.asker import Asker, Asking

# Warren answers within 15 s, or not at all.
ATTEMPT_S: Final = 15.0
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 3.0


class AmqpCommander:
    """Uses a channel of its own."""

    def __init__(self, names: Names, limits: Limits | None = None) -> None:
        self._asker = Asker("control", names.control, limits or Limits(messages=1_000))
        self.publisher = self._asker.publisher

    async def __call__(
        self,
        verb: str,
        fields: Mapping[str, Any],
        *,
        address: str | None,
        ident: str | None,
        timeout_s: float,
    ) -> dict[str, Any]:
        """Return the result. Raises CommandFailed, CommandUnanswered, and as Publisher.publish."""
        message = command.message_of(
            verb, fields, address=address, ident=ident, traceparent=tracing.traceparent()
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, random.random)
        asking = Asking(self._asker, message)
        try:
            while True:
                await asking.send(max(0.001, deadline - loop.time()))
                try:
                    return command.result_of(await asking.answer(deadline - loop.time(), ATTEMPT_S))
                except CommandFailed as problem:
                    pause_s = max(backoff.next(), (problem.retry_after_ms or 0) / 1_000)
                    if not problem.retry or loop.time() + pause_s >= deadline:
                        raise
                await asyncio.sleep(pause_s)
                asking.renew()
        except TimeoutError:
            raise CommandUnanswered(
                f"no answer to {verb} came within {timeout_s:g} s; it may have been done: send it again "
                f"under the same id ({ident})"
            ) from None
        finally:
            asking.close()

    def stop(self) -> None:
        """Send nothing more."""
        self._asker.stop()
