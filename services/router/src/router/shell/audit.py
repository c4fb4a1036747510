"""Audit: a line of the log for each command that changes something: ``control_<verb>``, with who gave it (the
name of a key, or the user of the broker), what it was about, and what came of it.

It never holds a key or a payload. Messages to single addresses, and reads, are counted and get a line only at
level debug: they are as many as an application's messages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from router.core.control import Command
from router.core.control_problems import Problem
from router.core.verbs import Verb
from warren.contract.commands import Outcomes
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics

_QUIET: Final = frozenset({"publish", "batch"})

_logger = get_logger("router.audit")


class Audit:
    """That of the commands which come one way."""

    def __init__(self, metrics: RouterMetrics, protocol: str) -> None:
        """``protocol`` (``http`` or ``amqp``) stands on each line."""
        self._metrics = metrics
        self._protocol = protocol

    def done(
        self,
        verb: Verb,
        command: Command | Problem,
        answer: object,
        *,
        by: str,
        trace_id: Callable[[], str],
    ) -> None:
        """Tell of one command that was done, or refused. ``trace_id`` is asked for where there is a line."""
        self._metrics.commands(verb.name)
        problem = answer if isinstance(answer, Problem) else None
        if problem is not None:
            self._metrics.command_problems(problem.code.value)
        quiet = verb.reads or verb.name in _QUIET
        level = logging.DEBUG if quiet else logging.INFO
        if problem is not None and problem.code.status == 403:
            level = logging.WARNING
        if not _logger.isEnabledFor(level):
            return
        body = command.body if isinstance(command, Command) else None
        event(
            _logger,
            f"control_{verb.name}",
            level=level,
            protocol=self._protocol,
            by=by or None,
            address=getattr(body, "address", None),
            user=getattr(body, "user", None),
            connection=getattr(body, "connection", None),
            id=(command.id or None) if isinstance(command, Command) else None,
            failed=answer.failed if isinstance(answer, Outcomes) else None,
            code=problem.code.value if problem is not None else None,
            reason=problem.detail if problem is not None and problem.code.status == 403 else None,
            trace_id=trace_id() or None,
        )
