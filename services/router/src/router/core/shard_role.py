"""ShardRole: whether this router reads a shard's log, and whether it speaks for the shard, as a table.
``docs/log.md`` is drawn from it.

Nothing hangs on there being one speaker only: two say the same, and receivers drop what they have. So a
speaker that the placement has relieved goes on until the next one says that it speaks, and a shard never
stands still because it changes hands. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Collection

from router.core.placement import Assignment


class State(enum.StrEnum):
    """Where a shard stands with this router."""

    IDLE = "idle"  # not ours, and we don't stand by for it
    STARTING = "starting"  # its log is read from a checkpoint on, and we are not near its end yet
    FOLLOWING = "following"  # we know what the speaker knows, and say nothing
    SPEAKING = "speaking"  # we tell gateways and backends what the log says, and write what a speaker must


class Event(enum.StrEnum):
    """What can happen."""

    WANTED = "wanted"  # placement gives us the shard, or has us stand by for it
    READ = "read"  # the log is read up to about its end
    CALLED = "called"  # placement gives us the shard, and the other routers know of us
    RELIEVED = "relieved"  # placement gives it to another, which says that it speaks
    UNWANTED = "unwanted"  # placement has no use for us here
    ANEW = "anew"  # what we know is not the log's any more: it is read from a checkpoint on again


class Step(enum.StrEnum):
    """What must be done next."""

    NOTHING = "nothing"
    READ = "read"  # begin to read the log
    SPEAK = "speak"  # ask each gateway how far it has got, feed it from there, and go on with the events
    SILENCE = "silence"  # say nothing more
    FORGET = "forget"  # read no more, and throw the state away


TABLE: dict[tuple[State, Event], tuple[State, Step]] = {
    (State.IDLE, Event.WANTED): (State.STARTING, Step.READ),
    (State.STARTING, Event.READ): (State.FOLLOWING, Step.NOTHING),
    (State.STARTING, Event.ANEW): (State.STARTING, Step.NOTHING),
    (State.STARTING, Event.UNWANTED): (State.IDLE, Step.FORGET),
    (State.FOLLOWING, Event.CALLED): (State.SPEAKING, Step.SPEAK),
    (State.FOLLOWING, Event.ANEW): (State.STARTING, Step.NOTHING),
    (State.FOLLOWING, Event.UNWANTED): (State.IDLE, Step.FORGET),
    (State.SPEAKING, Event.RELIEVED): (State.FOLLOWING, Step.SILENCE),
    (State.SPEAKING, Event.ANEW): (State.STARTING, Step.SILENCE),
}


class ShardRole:
    """The place in the table of one router, for one shard."""

    def __init__(self, router: str) -> None:
        """``router`` is ours."""
        self.state = State.IDLE
        self._router = router

    @property
    def speaks(self) -> bool:
        """Whether this router speaks for the shard."""
        return self.state is State.SPEAKING

    def happened(self, event: Event) -> Step:
        """Take what has happened; return what is to be done. What the table does not know in this state
        changes nothing.
        """
        self.state, step = TABLE.get((self.state, event), (self.state, Step.NOTHING))
        return step

    def follow(self, assignment: Assignment, speaking: Collection[str], *, announced: bool) -> list[Step]:
        """Compare with the placement; return what is to be done, in order. ``speaking`` are the other routers
        that say they speak for the shard; ``announced``: the others know of us, so that the placement is
        theirs too.
        """
        speaker = assignment.speaker
        ours, wanted = speaker == self._router, self._router in (speaker, assignment.standby)
        steps: list[Step] = []
        if self.state is State.IDLE and wanted:
            steps.append(self.happened(Event.WANTED))
        if self.state is State.FOLLOWING and ours and announced:
            steps.append(self.happened(Event.CALLED))
        if self.state is State.SPEAKING and not ours and (not speaker or speaker in speaking):
            steps.append(self.happened(Event.RELIEVED))
        if self.state in (State.STARTING, State.FOLLOWING) and not wanted:
            steps.append(self.happened(Event.UNWANTED))
        return steps
