"""The verdict on histories made by hand: an honest one passes, and each kind of fault is found and named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.faults.assertions import Kind, Verdict, excerpt, judge
from tests.faults.history import Acked, Event, Got, History, Joined, Left, Refused, Sent

ROOM, LIFE = "room:1", "e1"


class Story:
    """Tells a history step by step."""

    def __init__(self, *members: str) -> None:
        self.history = History()
        for member in members:
            self.joined(member)

    def add(self, member: str, make: Callable[[int], Event]) -> Story:
        self.history.add(member, make(self.history.next()))
        return self

    def joined(
        self,
        member: str,
        seq: int = 0,
        epoch: str = LIFE,
        *,
        recovered: bool = False,
        since: int | None = None,
    ) -> Story:
        return self.add(member, lambda step: Joined(step, ROOM, epoch, seq, recovered, since))

    def sent(self, member: str, number: int, *, include_sender: bool = False) -> Story:
        return self.add(member, lambda step: Sent(step, ROOM, f"{member}-{number}", number, include_sender))

    def acked(self, member: str, number: int, seq: int, epoch: str = LIFE) -> Story:
        return self.add(member, lambda step: Acked(step, ROOM, f"{member}-{number}", epoch, seq))

    def got(self, member: str, seq: int, sender: str, number: int, epoch: str = LIFE) -> Story:
        return self.add(
            member, lambda step: Got(step, ROOM, epoch, seq, sender, f"{sender}-{number}", number)
        )

    def said(self, sender: str, number: int, seq: int, *readers: str, epoch: str = LIFE) -> Story:
        """All goes well: sent, acknowledged, shown to all readers."""
        self.sent(sender, number).acked(sender, number, seq, epoch)
        for reader in readers:
            self.got(reader, seq, sender, number, epoch)
        return self

    def verdict(self, *, breaks_allowed: bool = False) -> Verdict:
        return judge(self.history, breaks_allowed=breaks_allowed)

    def kinds(self, *, breaks_allowed: bool = False) -> list[str]:
        return sorted(self.verdict(breaks_allowed=breaks_allowed).kinds())


def three() -> Story:
    return Story("a", "b", "c").said("a", 1, 1, "b", "c").said("b", 1, 2, "a", "c")


# ── what is in order ────────────────────────────────────────────────────────────────────────────────────────


def test_an_honest_history_passes_with_its_figures() -> None:
    """Each message once at each other member: no fault, and the figures count messages, ACKs and
    deliveries.
    """
    verdict = three().verdict()
    assert verdict.kept
    assert verdict.faults == []
    figures = verdict.figures
    assert (figures.members, figures.rooms, figures.messages, figures.acks, figures.deliveries) == (
        3,
        1,
        2,
        2,
        4,
    )


def test_a_member_that_came_back_and_got_the_rest_passes() -> None:
    """recovered: true and then what was missed is one way without a gap."""
    story = three().said("a", 2, 3, "b")
    story.joined("c", 3, recovered=True, since=2).got("c", 3, "a", 2)
    verdict = story.verdict()
    assert verdict.kept
    assert verdict.figures.recovered == 1


def test_repeats_are_dropped_and_counted() -> None:
    """The same message at the same position again is no fault."""
    verdict = three().got("c", 1, "a", 1).got("c", 2, "b", 1).verdict()
    assert verdict.kept
    assert verdict.figures.repeats == 2
    assert verdict.figures.deliveries == 4


def test_an_own_message_may_come_back_after_a_reconnect_or_not() -> None:
    """On a new connection the sender may be given its own message, or only its ACK."""
    story = three().sent("a", 2).joined("a", 3, recovered=True, since=2).got("a", 3, "a", 2).acked("a", 2, 3)
    assert story.got("b", 3, "a", 2).got("c", 3, "a", 2).verdict().kept


def test_an_ack_twice_with_the_same_position_is_in_order() -> None:
    """A repeat under the same id is acknowledged with the first seq."""
    assert three().acked("a", 1, 1).verdict().kept


def test_who_joins_late_is_owed_nothing_from_before() -> None:
    """The first JOINED says where a member begins."""
    story = three().joined("d", 2).said("a", 2, 3, "b", "c", "d")
    assert story.verdict().kept


def test_an_honest_gap_is_excused_where_breaks_are_allowed() -> None:
    """recovered: false at a later position begins anew; what lies between is counted as excused."""
    story = (
        three().said("a", 2, 3, "b").said("a", 3, 4, "b").joined("c", 4, since=2).said("a", 4, 5, "b", "c")
    )
    verdict = story.verdict(breaks_allowed=True)
    assert verdict.kept
    assert (verdict.figures.unrecovered, verdict.figures.excused) == (1, 2)


def test_a_gap_told_unasked_where_there_is_none_is_only_counted() -> None:
    """JOINED with recovered: false at the position where the member is loses nothing."""
    verdict = three().joined("c", 2).joined("b", 2).said("a", 2, 3, "b", "c").verdict()
    assert verdict.kept
    assert verdict.figures.needless == 2


def test_a_new_life_told_to_everybody_passes_where_breaks_are_allowed() -> None:
    """When the log was lost, all go on in the new life from the position that they were told."""
    story = three()
    for member in "abc":
        story.joined(member, 0, "e2")
    story.said("a", 2, 1, "b", "c", epoch="e2")
    verdict = story.verdict(breaks_allowed=True)
    assert verdict.kept
    assert verdict.figures.renewed == 3


# ── what is not ─────────────────────────────────────────────────────────────────────────────────────────────


def test_lost_at_the_end() -> None:
    """An acknowledged message that one of the members never got is found though nothing came after it."""
    verdict = three().said("a", 2, 3, "b").verdict()
    assert [(fault.kind, fault.member, fault.seq) for fault in verdict.faults] == [(Kind.LOST, "c", 3)]


def test_lost_for_everybody() -> None:
    """A message that was acknowledged and then shown to nobody is missing at each of the others."""
    verdict = three().sent("a", 2).acked("a", 2, 3).verdict()
    assert sorted((fault.kind, fault.member) for fault in verdict.faults) == [
        (Kind.LOST, "b"),
        (Kind.LOST, "c"),
    ]


def test_lost_in_a_life_that_nobody_was_told_of() -> None:
    """An ACK in a life of the room that nobody is in is a lost message."""
    verdict = three().sent("a", 2).acked("a", 2, 1, "e9").verdict()
    assert [(fault.kind, fault.epoch) for fault in verdict.faults] == [(Kind.LOST, "e9")]


def test_skipped_in_silence() -> None:
    """A seq that one member was never shown and that was never acknowledged is a gap that it should have been
    told of.
    """
    story = three().sent("a", 2).got("b", 3, "a", 2).said("b", 2, 4, "a", "c")
    verdict = story.verdict()
    assert {(fault.kind, fault.member, fault.seq) for fault in verdict.faults} == {
        (Kind.SKIPPED, "c", 3),
        (Kind.UNANSWERED, "a", 0),
    }


def test_a_seq_that_nobody_ever_saw_is_skipped() -> None:
    """Where seqs jump for everybody, something was numbered and is gone."""
    assert three().said("a", 2, 4, "b", "c").kinds() == ["skipped"]


def test_a_hole_in_what_was_recovered_is_found() -> None:
    """recovered: true promises all that was missed, not some of it."""
    story = three().said("a", 2, 3, "b").said("a", 3, 4, "b")
    verdict = story.joined("c", 4, recovered=True, since=2).got("c", 4, "a", 3).verdict()
    assert [(fault.kind, fault.member, fault.seq) for fault in verdict.faults] == [(Kind.LOST, "c", 3)]


def test_doubled() -> None:
    """One id at two positions was counted twice."""
    story = three().got("b", 3, "a", 1).got("c", 3, "a", 1)
    assert "doubled" in story.kinds()


def test_doubled_in_another_life() -> None:
    """A repeat that counts again in a room's new life is doubled, unless that life may know nothing of the
    last one.
    """
    story = three()
    for member in "abc":
        story.joined(member, 0, "e2")
    story.acked("a", 1, 1, "e2").got("b", 1, "a", 1, "e2").got("c", 1, "a", 1, "e2")
    assert story.kinds(breaks_allowed=True) == []
    assert {"doubled", "forked"} <= set(story.kinds())


def test_doubled_for_its_sender_alone() -> None:
    """A repeat that got a position of its own, and an ACK with it, is doubled and has two answers."""
    assert three().acked("a", 1, 3).kinds() == ["doubled", "forked", "lost"]


def test_what_a_second_join_sends_again_is_no_fault() -> None:
    """A member whose JOIN was answered late has asked twice: it is sent everything again, its own message
    among it, which is below its position.
    """
    story = Story("a", "b").said("b", 1, 1, "a").said("a", 1, 2, "b").said("b", 2, 3, "a")
    again = (
        story.joined("a", 0, recovered=True, since=0)
        .got("a", 1, "b", 1)
        .got("a", 2, "a", 1)
        .got("a", 3, "b", 2)
    )
    assert again.verdict().kept
    assert again.verdict().figures.repeats == 3
    late = (
        Story("a", "b")
        .said("b", 1, 1, "a")
        .sent("a", 1)
        .acked("a", 1, 2)
        .got("b", 2, "a", 1)
        .said("b", 2, 3, "a")
    )
    assert late.got("a", 2, "a", 1).kinds() == ["reordered"]


def test_reordered() -> None:
    """A message that is shown after a later one is out of order, though all of them came."""
    story = Story("a", "b").sent("a", 1).acked("a", 1, 1).sent("a", 2).acked("a", 2, 2)
    assert story.got("b", 2, "a", 2).got("b", 1, "a", 1).kinds() == ["reordered"]


def test_numbered_against_time() -> None:
    """What was acknowledged before another was sent must have the lower seq."""
    story = Story("a", "b", "c").sent("a", 1).acked("a", 1, 2).sent("b", 1).acked("b", 1, 1)
    story.got("a", 1, "b", 1).got("b", 2, "a", 1).got("c", 1, "b", 1).got("c", 2, "a", 1)
    assert story.kinds() == ["reordered"]


def test_forked() -> None:
    """Two members that see different messages at one position are in different worlds."""
    story = three().sent("a", 2).sent("b", 2).got("c", 3, "a", 2).got("a", 3, "b", 2).got("b", 3, "a", 2)
    assert "forked" in story.kinds()


def test_forked_between_ack_and_log() -> None:
    """An ACK at the position of somebody else's message is a fork."""
    assert "forked" in three().sent("c", 1).acked("c", 1, 2).kinds()


def test_forked_lives_at_the_end() -> None:
    """Members that end in different lives of one room do not hear each other."""
    assert "forked" in three().joined("c", 0, "e2").kinds(breaks_allowed=True)


def test_forked_by_recovering_into_another_life() -> None:
    """recovered: true can't be true where the epoch is another one."""
    assert "forked" in three().joined("c", 2, "e2", recovered=True, since=2).kinds(breaks_allowed=True)


def test_recovered_at_a_position_before_ours() -> None:
    """A log that ends before what was shown already is another log."""
    assert "forked" in three().joined("c", 1, recovered=True, since=2).kinds(breaks_allowed=True)


def test_the_partial_rest_after_a_break_is_stray() -> None:
    """Who was told recovered: false must not be shown what lies before that position."""
    story = three().said("a", 2, 3, "b").said("a", 3, 4, "b").joined("c", 4, since=2).got("c", 4, "a", 3)
    assert story.kinds(breaks_allowed=True) == ["stray"]


def test_a_message_of_another_life_is_stray() -> None:
    """What belongs to a life of the room that is over must not come through."""
    story = three().joined("c", 0, "e2").joined("a", 0, "e2").joined("b", 0, "e2")
    assert story.sent("a", 2).acked("a", 2, 3).got("c", 3, "a", 2).kinds(breaks_allowed=True) == ["stray"]


def test_a_message_that_nobody_sent_is_stray() -> None:
    """What comes must be what was sent: id, sender and number."""
    assert "stray" in three().got("c", 3, "a", 7).got("a", 3, "a", 7).got("b", 3, "a", 7).kinds()


def test_a_message_before_joined_is_stray() -> None:
    """Nothing comes from a room before it said where one is."""
    assert "stray" in three().got("d", 2, "b", 1).kinds()


def test_acknowledged_to_the_wrong_one_is_stray() -> None:
    """An ACK goes to who sent the message."""
    assert "stray" in three().acked("c", 1, 3).kinds()


def test_unrecovered() -> None:
    """recovered: false is a fault where the log has all that was missed."""
    story = three().said("a", 2, 3, "b").joined("c", 3, since=2).said("a", 3, 4, "b", "c")
    assert story.kinds() == ["unrecovered"]
    assert story.kinds(breaks_allowed=True) == []


def test_unrecovered_even_where_nothing_was_missed() -> None:
    """An asked-for position that is still the room's own is recovered, always."""
    assert three().joined("c", 2, since=2).kinds() == ["unrecovered"]


def test_unanswered() -> None:
    """A message must have its ACK or a final ERROR by the end."""
    assert three().sent("a", 2).kinds() == ["unanswered"]


def test_refused() -> None:
    """A final ERROR for a message that is in order is a fault, and it is answered."""
    story = three().sent("a", 2).add("a", lambda step: Refused(step, ROOM, "a-2", "internal"))
    assert story.kinds() == ["refused"]


def test_expelled() -> None:
    """Nobody leaves a room without having asked."""
    assert three().add("c", lambda step: Left(step, ROOM)).kinds() == ["expelled"]


def test_a_copy_that_was_asked_for_must_come() -> None:
    """With include_sender the sender is a member like the others."""
    story = three().sent("a", 2, include_sender=True).acked("a", 2, 3).got("b", 3, "a", 2).got("c", 3, "a", 2)
    verdict = story.verdict()
    assert [(fault.kind, fault.member) for fault in verdict.faults] == [(Kind.LOST, "a")]
    assert story.got("a", 3, "a", 2).verdict().kept


@pytest.mark.parametrize("kind", [Kind.LOST, Kind.DOUBLED])
def test_the_excerpt_shows_the_message_and_its_neighbourhood(kind: Kind) -> None:
    """What is printed of a fault has the message's own life and what its member saw around it, and not the
    whole history.
    """
    story = Story("a", "b", "c")
    for number in range(1, 60):
        story.said("a", number, number, "b", *(["c"] if number != 30 else []))
    if kind is Kind.DOUBLED:
        story.got("c", 60, "a", 30).got("b", 60, "a", 30)
    fault = next(fault for fault in story.verdict().faults if fault.kind is kind)
    lines = excerpt(story.history, fault)
    assert any("Sent" in line and "id=a-30 " in line for line in lines)
    assert any("Acked" in line and "id=a-30 " in line for line in lines)
    assert len(lines) < 25
