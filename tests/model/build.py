"""What a world is built of: the production classes, or mutants in their place; and how much of what can
happen in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.core.batch_numbers import BatchNumbers
from gateway.core.feed_positions import FeedPositions
from router.core.checkpoint_parts import CheckpointParts
from router.core.feeds import Feeds
from router.core.fold import Fold

LARGE = 1_000_000


@dataclass(frozen=True)
class Build:
    """Classes, and what stands in for the shell's few rules."""

    fold: type[Fold] = Fold
    feeds: type[Feeds] = Feeds
    positions: type[FeedPositions] = FeedPositions
    numbers: type[BatchNumbers] = BatchNumbers
    parts: type[CheckpointParts] = CheckpointParts
    jumps_are_losses: bool = True  # until the log's first offset says otherwise
    parts_wait_for_events: bool = True
    rules_wait_for_all: bool = True
    checkpoints_need_their_mark: bool = True  # else what lies between it and what is left may be gone


@dataclass(frozen=True)
class Scenario:
    """Who does what, and which faults may come how often: every interleaving of them is visited."""

    gateways: dict[str, tuple[tuple[str, ...], ...]]  # name ▶ what its client does, in order
    faults: dict[str, int]
    routers: tuple[int, ...] = (1,)  # the version of the fold that each knows
    backend: tuple[str, ...] = ()  # ids of messages that a router passes on
    before: int = 1  # so many of each client's acts are done before the search begins
    apart: bool = False  # each thing that a client does goes in a batch of its own
    ids: int = 100
    gone: int = 100
    feed_bytes: int = LARGE
    ring_bytes: int = LARGE
    part_bytes: int = LARGE
    events: bool = (
        # that backends are told is a step of its own; else it is done in the step in which an entry is read
        False
    )
    restarts: bool = True  # a router that has died comes back
    few_ids: bool = False  # repeats may come from so far back that they count as new
    answers_may_be_lost: bool = False  # nobody waits for them; else what is not answered is said again
    limit: int = 200_000
    about: str = field(default="", compare=False)

    def beginning(self) -> Scenario:
        """What comes before the search."""
        acts = {name: acts[: self.before] for name, acts in self.gateways.items()}
        return replace(self, gateways=acts, backend=())
