"""Lives: positions that only grow, what is remembered of rooms without members, and what the log is told."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from router.core.lives import ROOMS_IN_PART, Lives, base36
from warren.envelope import Checkpoint
from warren.position import Position

TERM = 0xABC


def make(remembered=10, *, begin=True, count=1_000, size=1_000_000):
    lives = Lives(remembered, lambda room: not room.startswith("u"), checkpoint_count=count, checkpoint_bytes=size)
    if begin:
        lives.begin(TERM)
        lives.checkpoint()
    return lives


def say(lives, room):
    return lives.advance(room).position


@pytest.mark.parametrize("number", [0, 1, 35, 36, 1_000, 1_764_000_000_000])
def test_base36_is_read_back(number):
    """In lower case, without leading zeros."""
    text = base36(number)
    assert int(text, 36) == number
    assert text == text.lower()
    assert text == "0" or text[0] != "0"


def test_a_room_counts_from_one_and_logged_ones_share_the_epoch_of_the_log():
    """The first owner's term is the log's life; each room's first message is 1."""
    lives = make()
    assert lives.position("a") == Position("24c-1", 0)
    assert len(lives) == 0
    assert [say(lives, "a"), say(lives, "a"), say(lives, "b")] == [
        Position("24c-1", 1),
        Position("24c-1", 2),
        Position("24c-1", 1),
    ]
    assert lives.position("a") == Position("24c-1", 2)
    assert lives.position("a").is_valid()


def test_a_room_without_history_has_an_epoch_of_its_owner_s_own():
    """Another owner has another one; no number of a logged room's generation looks like it."""
    lives = make()
    assert say(lives, "u") == Position("24c.1", 1)
    assert lives.position("u").is_valid()
    assert lives.logged() == {}
    later = make(begin=False)
    later.restart(TERM, 1, {})
    later.begin(TERM + 1)
    assert later.position("u").epoch != "24c.1"
    assert later.position("a") == Position("24c-1", 0)


def test_of_rooms_without_members_the_latest_used_are_remembered():
    """Beyond the limit the one not used for longest is forgotten, and what comes back then is in a new epoch."""
    lives = make(2)
    for room in ("a", "b", "a", "c"):
        say(lives, room)
    assert lives.due
    assert lives.forget() == ["b"]
    assert lives.forget() == []
    assert [part.generation for part in lives.checkpoint()] == [2]
    assert ("a" in lives, "b" in lives, "c" in lives) == (True, False, True)
    assert say(lives, "b") == Position("24c-2", 1)
    assert say(lives, "a") == Position("24c-1", 3)


def test_an_eighth_more_than_need_be_is_forgotten_at_once():
    """Since each time costs a checkpoint."""
    lives = make(16)
    for number in range(17):
        say(lives, f"r{number}")
    assert lives.forget() == ["r0", "r1", "r2"]
    assert len(lives) == 14


def test_forgetting_a_room_that_is_not_logged_changes_only_the_epoch_of_such_rooms():
    """The log need not be told."""
    lives = make(1)
    say(lives, "u1")
    say(lives, "u2")
    assert lives.forget() == ["u1"]
    assert not lives.due
    assert say(lives, "u1") == Position("24c.2", 1)
    assert lives.position("a") == Position("24c-1", 0)


def test_a_room_with_members_is_never_forgotten():
    """From wake until rest it keeps its position, however many others come."""
    lives = make(1)
    say(lives, "a")
    lives.wake("a")
    for number in range(5):
        say(lives, f"x{number}")
        lives.forget()
    assert lives.position("a") == Position("24c-1", 1)
    lives.rest("a")
    say(lives, "y")
    lives.forget()
    assert "a" not in lives


def test_everyone_is_always_remembered():
    """The address of everyone has no members, and keeps its position all the same."""
    lives = make(1)
    say(lives, "*")
    lives.rest("*")
    for number in range(5):
        say(lives, f"x{number}")
        lives.forget()
    assert say(lives, "*").seq == 2


def test_a_room_where_nothing_was_said_is_kept_only_while_it_has_members():
    """Without an entry it stands at the same place; only where the epoch has changed meanwhile it must be remembered."""
    lives = make()
    lives.wake("a")
    assert len(lives) == 1
    lives.rest("a")
    assert len(lives) == 0
    lives.wake("a")
    lives.expire()
    lives.rest("a")
    assert lives.position("a") == Position("24c-1", 0)
    assert lives.position("b") == Position("24c-2", 0)


def test_rest_of_a_room_without_an_entry_does_nothing():
    """Nothing is made up for a room that was never used."""
    lives = make()
    lives.rest("a")
    assert len(lives) == 0


def test_a_room_that_is_renounced_begins_a_new_epoch():
    """Those with members stay awake; all others that have no entry are in the new epoch too."""
    lives = make(1)
    say(lives, "a")
    lives.wake("a")
    lives.renounce("a")
    assert lives.position("a") == Position("24c-2", 0)
    say(lives, "b")
    lives.renounce("b")
    assert "b" not in lives
    assert lives.position("b") == Position("24c-3", 0)
    for number in range(3):
        say(lives, f"x{number}")
        lives.forget()
    assert lives.position("a") == Position("24c-2", 0)


def test_a_new_log_is_told_its_life_before_anything_else():
    """The first checkpoint is due at once, and only once."""
    lives = make(begin=False)
    lives.begin(TERM)
    assert lives.due
    assert lives.checkpoint() == [Checkpoint(TERM, TERM, 1, (), True)]
    assert not lives.due
    assert lives.checkpoint() == []


@pytest.mark.parametrize(("count", "size"), [(13, 1_000_000), (1_000, 130)])
def test_a_checkpoint_is_due_after_so_many_entries_or_bytes(count, size):
    """It tells where every logged room stands, and the count begins anew."""
    lives = make(count=count, size=size)
    for _ in range(12):
        say(lives, "a")
        lives.entered(10)
        assert not lives.due
    say(lives, "u")
    lives.wake("never")
    lives.entered(10)
    assert lives.checkpoint() == [Checkpoint(TERM, TERM, 1, (("a", "24c-1", 12),), True)]
    assert not lives.due


def test_with_many_rooms_a_checkpoint_waits_for_more_entries():
    """Four for each room, however low the count: it is as long as there are rooms."""
    lives = make(count=1)
    for room in ("a", "b"):
        say(lives, room)
    for _ in range(8):
        assert not lives.due
        lives.entered(1)
    assert lives.due


def test_a_checkpoint_names_awake_rooms_of_a_former_epoch_where_nothing_was_said():
    """Else a new owner would take them to stand in the present one."""
    lives = make()
    lives.wake("a")
    lives.expire()
    lives.wake("b")
    assert lives.checkpoint() == [Checkpoint(TERM, TERM, 2, (("a", "24c-1", 0),), True)]


def test_a_long_checkpoint_comes_in_parts():
    """The last one is marked, and all together name each room once."""
    lives = make(10_000)
    for number in range(ROOMS_IN_PART + 5):
        say(lives, f"r{number}")
    lives.expire()
    parts = lives.checkpoint()
    assert [(len(part.rooms), part.last) for part in parts] == [(ROOMS_IN_PART, False), (5, True)]
    assert len({room for part in parts for room, _, _ in part.rooms}) == ROOMS_IN_PART + 5


def test_the_log_tells_where_rooms_stand():
    """Restart says all, restore says one; an owner goes on from there."""
    lives = make(begin=False)
    lives.restore("gone", Position("old-1", 9))
    lives.restart(7, 3, {"a": Position("7-1", 5)})
    lives.restore("b", Position("7-3", 1))
    lives.restore("a", Position("7-1", 6))
    lives.begin(TERM)
    assert not lives.due
    assert lives.logged() == {"a": Position("7-1", 6), "b": Position("7-3", 1)}
    assert [say(lives, room) for room in ("a", "b", "c")] == [
        Position("7-1", 7),
        Position("7-3", 2),
        Position("7-3", 1),
    ]


class LivesNeverGoBack(RuleBasedStateMachine):
    """Whatever is forgotten, no room is ever given the same (epoch, seq) twice, and a seq follows the one before."""

    rooms = st.sampled_from(["a", "b", "c", "d", "u1", "u2", "*"])

    @initialize()
    def begin(self):
        self.lives = make(1)
        self.given = set()
        self.awake = set()

    @rule(room=rooms)
    def say(self, room):
        if self.lives.due:  # as the shard does before everything
            self.lives.forget()
            self.lives.checkpoint()
        before = self.lives.position(room)
        position = say(self.lives, room)
        assert position.follows(before)
        assert (room, position.epoch, position.seq) not in self.given
        self.given.add((room, position.epoch, position.seq))

    @rule(room=rooms)
    def wake(self, room):
        before = self.lives.position(room)
        self.lives.wake(room)
        self.awake.add(room)
        assert self.lives.position(room) == before

    @rule(room=rooms)
    def rest(self, room):
        before = self.lives.position(room)
        self.lives.rest(room)
        self.awake.discard(room)
        assert self.lives.position(room) == before

    @rule(room=rooms)
    def renounce(self, room):
        before = self.lives.position(room)
        self.lives.renounce(room)
        assert self.lives.position(room).epoch != before.epoch

    @invariant()
    def rooms_with_members_are_there(self):
        assert all(room in self.lives for room in self.awake)


TestLivesNeverGoBack = LivesNeverGoBack.TestCase
