"""The gate: what its bare paths do with messages, whose turn it is, and what the medians say."""

import pytest
from bench.log_vs_queue.paths import LIFE, Numbering, PathTopology, ack, batch
from bench.log_vs_queue.rounds import WARM_UP_S, Line, Round, compare, line_of, text_of

from warren.envelope import Publish


def publish(number: int, room: str = "r") -> Publish:
    return Publish(room, "CHAT", b"{}", 0, "senders~1", "user", str(number))


def test_messages_are_numbered_by_room_and_none_counts_twice() -> None:
    """A batch that stands in the log twice is numbered once."""
    numbering = Numbering()
    body = batch(1, [publish(1), publish(2), publish(3, "other")], 0)
    assert [(each.room, each.seq) for each in numbering.take(body)] == [("r", 1), ("r", 2), ("other", 1)]
    assert numbering.take(body) == []
    (message,) = numbering.take(batch(2, [publish(2), publish(4)], 0))
    told = ack(message)
    assert (told.conn, told.id, told.epoch, told.seq) == ("senders~1", "4", LIFE, 3)


def test_the_paths_differ_in_their_way_in_alone() -> None:
    """Both have a log for each shard; what the ingress leads to is a queue before it, or the log itself."""
    queue, log = PathTopology("queue", "g", 2), PathTopology("log", "g", 2)
    assert {each.name for each in queue.queues()} - {each.name for each in log.queues()} == {
        "g.in.0",
        "g.in.1",
    }
    assert [each.queue for each in queue.bindings()] == ["g.in.0", "g.in.1"]
    assert [each.queue for each in log.bindings()] == [log.log(0).name, log.log(1).name]


class Scripted:
    """A way that notes its turns."""

    def __init__(self, name: str, progress: list[str]) -> None:
        self.name, self.progress = name, progress

    async def round(self, rate: float, seconds: float) -> Round:
        self.progress.append(f"{self.name} {'warm' if seconds == WARM_UP_S else 'round'} {rate:.0f}")
        return Round(1.0 if self.name == "new" else 2.0, 9.0, 5.0, 0)


async def test_they_take_turns_and_each_is_first_as_often() -> None:
    """What else the machine does hits both alike."""
    progress: list[str] = []
    pairs = await compare(Scripted("old", progress), Scripted("new", progress), 100, 3, 8.0)
    assert progress[:2] == ["old warm 100", "new warm 100"]
    assert [turn.split()[0] for turn in progress[2:]] == ["old", "new", "new", "old", "old", "new"]
    assert [(old.p50_ms, new.p50_ms) for old, new in pairs] == [(2.0, 1.0)] * 3


def line(p50: float, cpu: float, wrong: int = 0) -> Line:
    return line_of(100, [(Round(10.0, 20.0, 100.0, 0), Round(10.0 * p50, 20.0, 100.0 * cpu, wrong))])


@pytest.mark.parametrize(
    ("made", "passed"),
    [
        (line(0.7, 0.85), True),
        (line(0.71, 0.85), False),
        (line(0.7, 0.86), False),
        (line(0.1, 0.1, wrong=1), False),
    ],
)
def test_both_ratios_must_be_within_their_aims(made: Line, passed: bool) -> None:
    """And nothing may be lost or doubled."""
    assert made.passed is passed
    assert text_of(made).endswith("passed" if passed else "MISSED")


def test_a_ratio_is_the_median_of_the_pairs() -> None:
    """A round in which the machine was slow for both counts like any other; medians of each are shown beside
    it.
    """
    pairs = [
        (Round(2.0, 3.0, 10.0, 0), Round(1.0, 3.0, 8.0, 0)),
        (Round(90.0, 99.0, 10.0, 1), Round(45.0, 50.0, 8.0, 0)),
        (Round(2.0, 3.0, 10.0, 0), Round(1.8, 3.0, 9.0, 2)),
    ]
    made = line_of(500, pairs)
    assert (made.p50_ratio, made.cpu_ratio) == (0.5, 0.8)
    assert (made.old.p50_ms, made.new.p50_ms) == (2.0, 1.8)
    assert (made.old.wrong, made.new.wrong) == (1, 2)
