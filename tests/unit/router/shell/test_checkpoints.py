"""Checkpoints: the state as of our Mark, written once its events are confirmed, and compared with what others wrote."""

from prometheus_client import CollectorRegistry

from router.core.fold import Fold
from router.core.outcome import Marked
from router.shell.checkpoints import Checkpoints
from warren.envelope import Batch, Checkpoint, Hello, Mark, Rules, encode
from warren.metrics import RouterMetrics


class Writer:
    """Keeps what is to be written; ``confirm`` says that it stands in the log."""

    def __init__(self):
        self.put_in = []

    def put(self, entry, confirmed):
        self.put_in.append((entry, confirmed))

    def confirm(self):
        for _, confirmed in self.put_in:
            confirmed()


class Stand:
    def __init__(self):
        self.writer = Writer()
        self.metrics = RouterMetrics(CollectorRegistry())
        self.checkpoints = Checkpoints("r1", 0, self.writer, self.metrics)
        self.fold = Fold(0, 1)
        for offset, entry in enumerate(([Rules("life", 1, 9, 9, 9, 1)], [Batch("g1", 1, 1, 1), Hello()])):
            self.fold.apply(offset, encode(entry))

    def mark(self, router="r1", *, speaks=True):
        offset = self.fold.offset + 1
        (marked,) = self.fold.apply(offset, encode([Mark(router, 7)]))
        assert marked == Marked(1, router, 7)
        return self.checkpoints.marked(marked, offset, self.fold, speaks=speaks)

    def written(self):
        return [entry for entry, _ in self.writer.put_in]


def test_our_checkpoint_is_written_once_the_events_up_to_it_are_confirmed():
    """Whole, as the fold was at the Mark, though more has been applied since; another one is begun only when it stands in the log."""
    stand = Stand()
    size = stand.mark()
    bodies, digest = stand.fold.parts()
    assert size == sum(map(len, bodies))
    stand.fold.apply(3, encode([Batch("g2", 1, 1, 1), Hello()]))
    stand.checkpoints.write(1)
    assert stand.written() == []
    stand.checkpoints.write(2)
    stand.checkpoints.write(3)
    assert stand.written() == [
        Checkpoint("r1", 2, number, len(bodies), digest, body) for number, body in enumerate(bodies)
    ]
    assert stand.checkpoints.pending
    stand.writer.confirm()
    assert not stand.checkpoints.pending


def test_a_mark_of_another_router_or_of_a_former_life_of_ours_is_not_ours_to_follow():
    """It is only remembered what the state was there."""
    stand = Stand()
    stand.mark("r2")
    stand.mark("r1", speaks=False)
    stand.checkpoints.write(99)
    assert stand.written() == []
    assert not stand.checkpoints.pending


def test_who_speaks_no_more_writes_none():
    """What was to be written is dropped."""
    stand = Stand()
    stand.mark()
    stand.checkpoints.drop()
    stand.checkpoints.write(99)
    assert stand.written() == []


def test_the_newest_whole_one_is_where_others_may_begin():
    """A part makes none; an older one takes nothing back."""
    stand = Stand()
    assert stand.checkpoints.newest == -1
    assert stand.checkpoints.seen(Checkpoint("r2", 5, 0, 2, b"d", b"")) is None
    assert stand.checkpoints.newest == -1
    assert stand.checkpoints.seen(Checkpoint("r2", 5, 1, 2, b"d", b"")) == 5
    assert stand.checkpoints.seen(Checkpoint("r3", 4, 0, 1, b"d", b"")) == 4
    assert stand.checkpoints.newest == 5
    stand.checkpoints.begin(3)
    assert stand.checkpoints.newest == 3


def test_a_checkpoint_that_differs_from_our_state_is_told():
    """The same entries were applied differently, by one of the two; an equal one, and one of a place that we did not see, say nothing."""
    stand = Stand()
    stand.mark("r2")
    _, digest = stand.fold.parts()
    for offset, said in ((2, digest), (1, b"unseen")):
        stand.checkpoints.seen(Checkpoint("r2", offset, 0, 1, said, b""))
    sample = "warren_router_rejected_total", {"reason": "checkpoint_differs"}
    assert stand.metrics.registry.get_sample_value(*sample) is None
    stand.checkpoints.seen(Checkpoint("r2", 2, 0, 1, b"other", b""))
    assert stand.metrics.registry.get_sample_value(*sample) == 1
