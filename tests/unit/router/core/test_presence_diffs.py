"""PresenceDiffs: what is told by a beat, and what those who watch make of it whatever is lost on the way."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.presence_watcher import PresenceWatcher

from router.core import presence_diffs as module
from router.core.effects import PresenceChanged, SeenChanged
from router.core.fold import Fold
from router.core.presence_diffs import (
    AGAIN_S,
    BEAT_S,
    LONGEST_BEAT_S,
    REMEMBERED_S,
    WATCHERS,
    PresenceDiffs,
    beat_s,
)
from router.core.presence_pages import presence_page
from warren import envelope as wire
from warren.envelope import (
    Batch,
    Hello,
    Inform,
    Join,
    Leave,
    PresenceDiff,
    Publish,
    Rules,
    Seen,
    SeenState,
    Watch,
)
from warren.log_entries import PRESENCE_CONNECTIONS, PRESENCE_USERS
from warren.namespaces import Namespaces, PresencePolicy, RoomPolicy

FEW = Namespaces([RoomPolicy("few", "few", presence=PresencePolicy("users", max=2))])
SEEN = Namespaces([RoomPolicy("seen", "*", presence=PresencePolicy("users"), receipts="seen")])


class Reader:
    """A fold, and what its router tells of presence."""

    def __init__(self, namespaces=None, *, speaks=True, log=()):
        self.fold, self.diffs, self.now = Fold(0, 1), PresenceDiffs(namespaces or FEW), 0.0
        self.numbers = {}
        if speaks:
            self.diffs.speak(self.now)
        for record in log:
            self.read(record)

    def read(self, record):
        for effect in self.fold.apply(self.fold.offset + 1, record):
            if isinstance(effect, PresenceChanged):
                self.diffs.changed(effect, self.fold, self.now)
            elif isinstance(effect, SeenChanged):
                self.diffs.saw(effect.room, effect.user, self.fold, self.now)
        return record

    def put(self, gateway, *contents):
        number = self.numbers[gateway] = self.numbers.get(gateway, 0) + 1
        hello = [Hello()] if number == 1 else []
        return self.read(wire.encode([Batch(gateway, 1, number, 1), *hello, *contents]))

    def after(self, seconds):
        self.now += seconds
        return self.diffs.due(self.fold, self.now)


def reader(room="a", watchers=1, **more):
    """Return one whose log has so many who watch a room on g9, and one on g8."""
    made = Reader(**more)
    made.read(wire.encode([Rules("life", 2, 100, 100, 100, 1)]))
    made.put("g9", *(Watch(room, f"g9~{number:x}", "eve", on=True) for number in range(watchers)))
    made.put("g8", Watch(room, "g8~1", "eve", on=True))
    return made


def join(number, room="a", user=None, info=b"", mode=PRESENCE_USERS):
    return Join(room, f"g1~{number:x}", user or f"u{number}", info=info, presence=mode)


def names(diff):
    return (
        [member.key for member in diff.joined],
        list(diff.left),
        [member.key for member in diff.updated],
    )


def test_what_happens_within_a_beat_is_told_together_and_once_to_each_gateway():
    """Who comes and goes within it is not told of; the numbers are those of now."""
    here = reader()
    here.put("g1", join(1), join(2))
    here.now += 0.1
    here.put("g1", join(3, user="u1"), join(4), Leave(("a",), "g1~4"))
    assert here.after(BEAT_S - 0.11) == []
    counts = here.fold.presence.counts("a")
    ((gateways, diff),) = here.after(0.02)
    assert gateways == ("g9", "g8")
    assert names(diff) == (["u1", "u2"], [], [])
    assert (diff.version, diff.users, diff.connections) == (here.fold.offset, 2, 3)
    assert diff.digest == counts.digest == sum(member.proof for member in diff.joined) % 2**64
    assert not diff.counts_only


def test_who_has_left_and_what_is_shown_anew_is_told_as_that():
    """A user who was gone in between comes with the new info only."""
    here = reader()
    here.put("g1", join(1), join(2), join(3))
    here.after(BEAT_S)
    here.put("g1", Inform("a", "g1~1", b"1"), Leave(("a",), "g1~2"))
    here.put("g1", Leave(("a",), "g1~3"), join(3))
    ((_, diff),) = here.after(BEAT_S)
    assert names(diff) == ([], ["u2"], ["u1", "u3"])
    assert diff.updated[0].info == b"1"


def test_where_nothing_has_become_of_it_nothing_is_told():
    """The numbers and the names are as they were told last."""
    here = reader()
    here.put("g1", join(1))
    here.after(BEAT_S)
    here.put("g1", join(2), Leave(("a",), "g1~2"))
    assert here.after(BEAT_S) == []


def test_a_room_is_told_of_again_without_names_in_case_the_diff_was_lost():
    """Three times, further and further apart; then nothing of it is remembered."""
    here = reader()
    here.put("g1", join(1))
    ((_, first),) = here.after(BEAT_S)
    for seconds in AGAIN_S:
        assert here.after(seconds - 0.01) == []
        ((gateways, diff),) = here.after(0.02)
        assert gateways == ("g9", "g8")
        assert diff == PresenceDiff("a", first.version, 1, 1, first.digest)
    assert (len(here.diffs), here.after(1_000)) == (0, [])


@pytest.mark.parametrize(
    ("watchers", "beat"),
    [(1, BEAT_S), (WATCHERS - 1, BEAT_S), (4 * WATCHERS - 1, 1.0), (30 * WATCHERS, LONGEST_BEAT_S)],
)
def test_the_beat_grows_with_those_who_watch(watchers, beat):
    """1,000 of them are told twice a second, however many join; the longest is 5 s."""
    assert beat_s(reader(watchers=watchers).fold, "a") == beat


def test_a_hundred_joins_a_second_are_two_diffs_for_each_gateway():
    """With 1,000 who watch; each name is told once."""
    here, told = reader(watchers=999), []
    for tick in range(100):
        here.put("g1", *(join(10 * tick + number) for number in range(10)))
        told += here.after(0.1)
    assert 10 <= len(told) <= 20
    assert sum(len(diff.joined) for _, diff in told) >= 940


def test_above_the_limit_of_its_namespace_a_room_tells_numbers_alone():
    """And says so; below it, it tells names again, of which those who watch have none and ask."""
    here = reader("few")
    here.put("g1", *(join(number, "few") for number in range(3)))
    ((_, diff),) = here.after(BEAT_S)
    assert (names(diff), diff.users, diff.counts_only) == (([], [], []), 3, True)
    here.put("g1", Leave(("few",), "g1~0"))
    ((_, diff),) = here.after(BEAT_S)
    assert (names(diff), diff.users, diff.counts_only) == (([], ["u0"], []), 2, False)


@pytest.mark.parametrize("bound", ["MOST_NAMES", "ALL_NAMES", "DIFF_BYTES"])
def test_what_is_too_much_for_a_diff_is_told_by_its_digest(bound, monkeypatch):
    """Whoever watches asks; the next diff is as any."""
    monkeypatch.setattr(module, bound, 3)
    here = reader()
    here.put("g1", *(join(number) for number in range(4)))
    ((_, diff),) = here.after(BEAT_S)
    assert (names(diff), diff.users, diff.counts_only) == (([], [], []), 4, False)
    assert diff.digest == here.fold.presence.counts("a").digest
    monkeypatch.undo()
    here.put("g1", join(9))
    ((_, diff),) = here.after(BEAT_S)
    assert names(diff)[0] == ["u9"]


def test_where_too_many_rooms_are_told_of_none_is_told_again(monkeypatch):
    """What is remembered for that is bounded."""
    monkeypatch.setattr(module, "MOST_ROOMS", 0)
    here = reader()
    here.put("g1", join(1))
    assert len(here.after(BEAT_S)) == 1
    assert len(here.diffs) == 0


def test_a_room_that_nobody_watches_any_more_is_not_told_of():
    """Nor remembered."""
    here = reader()
    here.put("g1", join(1))
    here.put("g9", Watch("a", "g9~0", "eve", on=False))
    here.put("g8", Leave(("a",), "g8~1"))
    assert (here.after(BEAT_S), len(here.diffs)) == ([], 0)


def test_a_gateway_that_says_where_it_stands_is_told_of_all_that_it_watches():
    """Without names, within about a beat, each room once; not of one that is about to be told of."""
    here = reader()
    rooms = [f"r{number}" for number in range(50)]
    here.put("g7", *(Watch(room, "g7~1", "eve", on=True) for room in ("a", *rooms)))
    here.put("g1", join(1, "r7"))
    here.after(BEAT_S)
    here.put("g1", join(1), join(2, "r7"))
    here.diffs.refresh("g7", here.fold, here.now)
    first = here.after(0.05)
    assert 0 < len(first) < 50
    told = first + here.after(0.1) + here.after(0.05) + here.after(0.05)
    (of_r7,) = [each for each in told if each.diff.room == "r7"]
    (of_a,) = [each for each in told if each.diff.room == "a"]
    assert (of_r7.gateways, names(of_r7.diff)[0]) == (("g7",), ["u2"])
    assert (of_a.gateways, names(of_a.diff)[0]) == (("g9", "g8", "g7"), ["u1"])
    others = [each for each in told if each not in (of_r7, of_a)]
    assert sorted(each.diff.room for each in others) == sorted(set(rooms) - {"r7"})
    offset = here.fold.offset
    assert {(each.gateways, each.diff) for each in others} == {
        (("g7",), PresenceDiff(each.diff.room, offset, 0, 0, 0)) for each in others
    }


def test_many_rooms_are_told_of_one_after_the_other(monkeypatch):
    """What happens to those that wait goes along; a gateway that says where it stands holds none of them up,
    nor do others hold it up.
    """
    monkeypatch.setattr(module, "AT_ONCE", 2)
    monkeypatch.setattr(module, "REFRESHED_OF_ONE", 1)
    here = reader()
    rooms = [f"r{number}" for number in range(5)]
    here.put("g7", *(Watch(room, "g7~1", "eve", on=True) for room in rooms))
    here.put("g1", *(join(1, room) for room in rooms))
    for gateway in ("g8", "g9"):
        here.diffs.refresh(gateway, here.fold, here.now)
    first = here.after(BEAT_S + 0.5)
    assert [(each.gateways, each.diff.room) for each in first[:2]] == [(("g8",), "a"), (("g9",), "a")]
    assert [names(each.diff)[0] for each in first[2:]] == [["u1"], ["u1"]]
    waiting = sorted(set(rooms) - {each.diff.room for each in first})
    here.put("g1", Leave((waiting[0],), "g1~1"), join(2, waiting[0]))
    second = here.after(0.1) + here.after(0.1)
    assert {each.diff.room: names(each.diff)[0] for each in second} == {
        waiting[0]: ["u2"],
        waiting[1]: ["u1"],
        waiting[2]: ["u1"],
    }


def test_a_gateway_that_says_it_again_is_told_of_the_others_first(monkeypatch):
    """However often it does, it hears of all rooms."""
    monkeypatch.setattr(module, "REFRESHED_OF_ONE", 1)
    here, told = reader(), set()
    here.put("g7", *(Watch(f"r{number}", "g7~1", "eve", on=True) for number in range(5)))
    for _ in range(5):
        here.diffs.refresh("g7", here.fold, here.now)
        told |= {each.diff.room for each in here.after(0.1)}
    assert len(told) == 5


def test_who_does_not_speak_remembers_so_many_rooms(monkeypatch):
    """Of the others gateways are told how they stand."""
    monkeypatch.setattr(module, "MOST_ROOMS", 1)
    here = reader(speaks=False)
    here.put("g8", Watch("b", "g8~1", "eve", on=True))
    here.put("g1", join(1), join(1, "b"), join(2))
    here.diffs.speak(here.now)
    assert [(each.diff.room, names(each.diff)[0]) for each in here.after(BEAT_S)] == [("a", ["u1", "u2"])]


def test_who_begins_to_speak_tells_what_has_changed_lately():
    """It can't know what was told: so whatever is there now is told, and what is not is taken away."""
    here = reader(speaks=False)
    here.put("g1", join(1), join(2))
    here.now += REMEMBERED_S + 0.1
    here.put("g1", join(3), Leave(("a",), "g1~2"), join(4), Leave(("a",), "g1~4"))
    here.diffs.speak(here.now)
    ((gateways, diff),) = here.after(BEAT_S)
    assert gateways == ("g9", "g8")
    assert names(diff) == (["u1", "u3"], ["u2", "u4"], [])
    assert diff.digest == here.fold.presence.counts("a").digest


def test_who_does_not_speak_remembers_some_seconds_alone():
    """Nothing is told of what was long before; so a list is never told again because a router has ended."""
    here = reader(speaks=False)
    here.put("g1", *(join(number) for number in range(50)))
    here.now += 2 * REMEMBERED_S + 0.1
    here.put("g1", join(51))
    here.diffs.speak(here.now)
    ((_, diff),) = here.after(BEAT_S)
    assert names(diff)[0] == ["u51"]
    here.diffs.silence()
    here.now += 10 * REMEMBERED_S
    here.diffs.speak(here.now)
    assert here.after(LONGEST_BEAT_S) == []


def test_too_many_names_for_who_does_not_speak_are_told_by_the_digest(monkeypatch):
    """In either while."""
    monkeypatch.setattr(module, "MOST_NAMES", 3)
    for pause in (0.0, REMEMBERED_S + 0.1):
        here = reader(speaks=False)
        here.now += REMEMBERED_S
        here.put("g1", *(join(number) for number in range(4)))
        here.now += pause
        here.put("g1", join(5))
        here.diffs.speak(here.now)
        ((_, diff),) = here.after(BEAT_S)
        assert (names(diff), diff.users) == (([], [], []), 5)
        assert here.diffs._names == 0


def test_a_shard_that_begins_anew_tells_nothing_of_before():
    """Nor does one that falls silent."""
    for end in ("clear", "silence"):
        here = reader()
        here.put("g1", join(1))
        here.diffs.refresh("g8", here.fold, here.now)
        getattr(here.diffs, end)()
        assert (here.after(LONGEST_BEAT_S), len(here.diffs)) == ([], 0)


# ── those who watch ─────────────────────────────────────────────────────────────────────────────────────────


class World:
    """Two routers that read one log, and who watches on gateway g9, by a network that loses, repeats and
    turns round what it is given.
    """

    def __init__(self, chance, namespaces):
        self.chance = chance
        self.routers = [reader(namespaces=namespaces), reader(namespaces=namespaces, speaks=False)]
        self.policy = namespaces.policy("a")
        self.speaking = 0
        self.watcher = PresenceWatcher("a", "g9~0", limit=chance.randint(1, 3))
        self.network = [self.watcher.ask()]
        self.joined = set()

    @property
    def speaker(self):
        return self.routers[self.speaking]

    def step(self):
        chance = self.chance
        match chance.randint(0, 9):
            case 0 | 1 | 2:
                number = chance.randint(0, 5)
                mode = chance.choice((PRESENCE_USERS, PRESENCE_USERS, PRESENCE_CONNECTIONS))
                self.enter(join(number, user=f"u{number % 4}", info=chance.choice((b"", b"1")), mode=mode))
            case 3 | 4:
                self.enter(Leave(("a",), f"g1~{chance.randint(0, 5):x}"))
            case 5:
                self.enter(Inform("a", f"g1~{chance.randint(0, 5):x}", chance.choice((b"1", b"2"))))
            case 6:
                self.take_over()
            case _:
                self.tick(chance.choice((0.05, 0.3, 3.0)))
        while self.network and chance.random() < 0.7:
            self.deliver(
                chance.randrange(len(self.network)), chance.choice(("once", "once", "lost", "twice"))
            )

    def enter(self, *contents):
        record = self.speaker.put("g1", *contents)
        other = self.routers[1 - self.speaking]
        other.read(record)
        other.numbers = dict(self.speaker.numbers)

    def take_over(self):
        """The other speaks from now on, sometimes while this one still does: what it says is on its way."""
        if self.chance.random() < 0.5:
            self.network += [told.diff for told in self.speaker.after(0.3)]
        self.speaker.diffs.silence()
        self.speaking = 1 - self.speaking
        self.speaker.diffs.speak(self.speaker.now)
        self.speaker.diffs.refresh("g9", self.speaker.fold, self.speaker.now)

    def tick(self, seconds):
        self.routers[1 - self.speaking].now += seconds
        self.network += [told.diff for told in self.speaker.after(seconds) if "g9" in told.gateways]

    def deliver(self, at, fate):
        envelope = self.network[at]
        if fate != "twice":
            del self.network[at]
        if fate == "lost":
            return
        asked = None
        match envelope:
            case wire.PresenceQuery():
                self.network.append(presence_page(envelope, self.speaker.fold, self.policy))
            case wire.PresencePage():
                asked = self.watcher.page(envelope)
            case PresenceDiff():
                if self.watcher.diff(envelope):
                    asked = self.watcher.ask()
        if asked is not None:
            self.network.append(asked)

    def settle(self):
        """Nothing happens any more, and nothing is lost."""
        for _ in range(20):
            self.tick(max(AGAIN_S))
            question = self.watcher.ask_again()
            if question is not None:
                self.network.append(question)
            while self.network:
                self.deliver(0, "once")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 80), st.sampled_from([2, 100]))
def test_who_watches_ends_with_the_truth(seed, steps, most):
    """Whatever is lost, repeated and turned round, and whoever speaks: asking where the digest differs is
    enough.
    """
    namespaces = Namespaces([RoomPolicy("all", "*", presence=PresencePolicy("users", max=most))])
    world = World(Random(seed), namespaces)
    for _ in range(steps):
        world.step()
    world.enter(join(7))  # so that there is something that a room is told of again for
    world.settle()
    watcher, presence = world.watcher, world.speaker.fold.presence
    counts = presence.counts("a")
    assert (watcher.version, watcher.users, watcher.connections, watcher.digest) == (
        counts.version,
        counts.users,
        counts.connections,
        counts.digest,
    )
    assert watcher.counts_only == (presence.names("a") > most)
    if not watcher.counts_only:
        assert watcher.members == {key: presence.member("a", key) for key in presence.keys("a", "", 99)}


def test_who_has_lost_nothing_never_asks():
    """Not by a takeover either, nor by an end of a connection to the broker."""
    world = World(Random(1), Namespaces())
    world.network.clear()
    world.watcher = PresenceWatcher("a", "g9~0")
    for number in range(40):
        world.enter(join(number), *([Leave(("a",), f"g1~{number - 3:x}")] if number > 3 else []))
        world.tick(0.1)
        if number % 10 == 5:
            world.speaker.diffs.silence()
            world.speaking = 1 - world.speaking
            world.speaker.diffs.speak(world.speaker.now)
            world.speaker.diffs.refresh("g9", world.speaker.fold, world.speaker.now)
        while world.network:
            world.deliver(0, "once")
    world.settle()
    assert (world.watcher.asks, world.watcher.users) == (0, 4)


# ── who has seen what ───────────────────────────────────────────────────────────────────────────────────────


def seen_reader(**more):
    """Return one whose room a has ann and bob, and stands at 3, of which all has been told."""
    made = reader(namespaces=SEEN, **more)
    chats = [Publish("a", "CHAT", b"1", 1, "g1~1", "u1", f"m{number}") for number in range(3)]
    made.put("g1", join(1), join(2), *chats)
    made.after(BEAT_S)
    return made


def saw(number, seq):
    return Seen("a", f"g1~{number}", "life-1", seq)


def test_who_has_seen_more_goes_along_with_the_beat():
    """Its last word, with the sum of all; a room in which nothing else happens tells nobody by name."""
    made = seen_reader()
    made.put("g1", saw(1, 1), saw(1, 3))
    made.put("g1", saw(2, 2))
    (told,) = made.after(BEAT_S)
    assert told.diff.seen == SeenState("life-1", 5, (("u1", 3), ("u2", 2)))
    assert names(told.diff) == ([], [], [])
    assert (told.diff.users, sorted(told.gateways)) == (2, ["g8", "g9"])


def test_what_was_told_of_is_proved_a_few_times_more():
    """By the sum, in case it was lost."""
    made = seen_reader()
    made.put("g1", saw(1, 3))
    made.after(BEAT_S)
    (told,) = made.after(AGAIN_S[0])
    assert told.diff.seen == SeenState("life-1", 3)


def test_a_room_that_does_not_tell_it_says_nothing_of_it():
    """By default."""
    made = reader()
    made.put("g1", join(1), Publish("a", "CHAT", b"1", 1, "g1~1", "u1", "m"))
    (told,) = made.after(BEAT_S)
    assert told.diff.seen is None
    made.put("g1", saw(1, 1))
    assert made.after(BEAT_S) == []


def test_the_next_speaker_tells_what_was_seen_lately():
    """Also where nobody has come or gone."""
    made = seen_reader()
    made.diffs.silence()
    made.put("g1", saw(2, 2))
    made.diffs.speak(made.now)
    (told,) = made.after(BEAT_S)
    assert told.diff.seen == SeenState("life-1", 2, (("u2", 2),))
    made.diffs.silence()
    made.put("g1", saw(1, 1))
    made.now += 3 * REMEMBERED_S
    made.diffs.speak(made.now)
    assert made.after(BEAT_S) == []
    assert made.diffs._names == 0


def test_beyond_the_bound_nobody_is_named_and_the_sum_tells(monkeypatch):
    """Who watches sees that something is missing, and asks."""
    monkeypatch.setattr(module, "ALL_NAMES", 1)
    made = seen_reader()
    made.put("g1", saw(1, 3), saw(2, 2))
    (told,) = made.after(BEAT_S)
    assert told.diff.seen == SeenState("life-1", 5, (("u1", 3),))
    assert made.diffs._names == 0
