"""FileDescriptorCapacity: how many connections a process can take with the files that it may have open.

Some are kept for what must go on when clients have taken the rest: the internal port, the broker, log and
keys. Of what is left some serve those who only ask: a request has its socket before it has a place, and is
told that the pod is full. Pure arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

# Standard streams, event loop, listening sockets, log, four connections to the broker, the JWK set, the
# collector: about 30; the rest is for the internal port, where probes and scrapers come.
KEPT = 64
# Of what is left, for sockets that have no place: those who only ask, and those who are told to go elsewhere.
ASKING_PERCENT = 5
ASKING_MIN = 16
LEAST = 8  # with so few places a process is still of some use


@dataclass(frozen=True, slots=True)
class FileDescriptorCapacity:
    """``connections``: WebSockets at most; ``sockets``: clients' sockets in all at most (0: not bounded);
    ``wanted``: connections that were asked for, of which ``open_files`` may not leave all (None: no limit).
    """

    connections: int
    sockets: int
    wanted: int
    open_files: int | None

    @classmethod
    def of(cls, wanted: int, open_files: int | None) -> FileDescriptorCapacity:
        """Return what ``open_files`` leave of ``wanted`` connections."""
        if open_files is None:
            return cls(wanted, 0, wanted, None)
        sockets = max(LEAST + ASKING_MIN, open_files - KEPT)
        most = sockets - max(ASKING_MIN, sockets * ASKING_PERCENT // 100)
        return cls(min(wanted, most), sockets, wanted, open_files)

    @property
    def capped(self) -> bool:
        """Whether there are fewer than wanted."""
        return self.connections < self.wanted
