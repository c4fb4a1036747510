"""ShardLimits: what one shard remembers at most.

Plain figures; ``app.py`` makes them of the settings, ``core/shard.py`` and ``core/replay.py`` hold to them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """Bounds of one shard's memory, and how often its log is told all positions."""

    dedup_count: int = 65_536  # ids, of the senders' own and of those that gateways gave, each
    dedup_age_us: int = 10 * 60 * 1_000_000
    rooms_remembered: int = 65_536  # rooms without members whose position is kept
    room_history_bytes: int = 4 * 1024 * 1024
    history_bytes: int = 32 * 1024 * 1024
    history_floor_us: int = 10 * 1_000_000  # what is younger is kept whatever a room's policy says, within the bytes
    checkpoint_count: int = 50_000  # entries of the log from one checkpoint to the next, or four for each room
    checkpoint_bytes: int = 16 * 1024 * 1024  # likewise; a quarter of the log's own limit at most
