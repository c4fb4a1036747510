"""The process's limit of open files. Each connection is one, and container runtimes give few at first and
many on demand.

The soft limit is raised to the hard one when a service starts, and the log says so. It counts no file and
refuses nobody.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass

from warren.logs import event, get_logger

# Where the hard limit is "unlimited" and the system takes no such soft one.
UNLIMITED = (1_048_576, 65_536, 10_240)

_log = get_logger("warren.open_files")


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """How many files this process may have open: now, before, and at most."""

    limit: int | None  # None: as many as it likes
    before: int | None
    hard: int | None


def raise_limit() -> OpenFiles:
    """Raise the soft limit to the hard one where that can be; log and return what came of it."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    tries = (
        (hard,) if hard != resource.RLIM_INFINITY else (hard, *(each for each in UNLIMITED if each > before))
    )
    reason = None
    if before != hard:
        for wanted in tries:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            except (OSError, ValueError) as error:
                reason = str(error)
            else:
                reason = None
                break
    found = OpenFiles(_number(resource.getrlimit(resource.RLIMIT_NOFILE)[0]), _number(before), _number(hard))
    level = logging.INFO if reason is None else logging.WARNING
    event(
        _log, "open_files", level=level, soft=found.limit, hard=found.hard, before=found.before, reason=reason
    )
    return found


def _number(limit: int) -> int | None:
    return None if limit == resource.RLIM_INFINITY else limit
