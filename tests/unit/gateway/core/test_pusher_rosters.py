"""Rosters: what clients of the Pusher protocol are told of who is there, whatever is lost on the way."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.pusher_rosters import Ask, Changed, PusherRosters, Subscribed, Watch
from warren.envelope import PresenceDiff, PresenceMember, PresencePage

ROOM, SHARD = "pusher:shop:presence-a", 2
PAGE = 3  # names in a page of these tests' router


class Router:
    """The speaker of the shard: who is there, and what it tells of that."""

    def __init__(self):
        self.there = {}
        self.version = 0
        self._told = {}

    def come(self, user, info=b""):
        self.version += 1
        self.there[user] = PresenceMember(user, user, info, hash((user, self.version)) % (1 << 64))

    def go(self, user):
        if self.there.pop(user, None) is not None:
            self.version += 1

    @property
    def digest(self):
        return sum(member.proof for member in self.there.values()) % (1 << 64)

    def diff(self):
        """What has changed since the last one."""
        before, self._told = self._told, dict(self.there)
        joined = tuple(member for key, member in self.there.items() if key not in before)
        updated = tuple(m for key, m in self.there.items() if key in before and before[key] != m)
        left = tuple(key for key in before if key not in self.there)
        count = len(self.there)
        return PresenceDiff(ROOM, self.version, count, count, self.digest, joined, left, updated)

    def page(self, query, size=PAGE):
        names = sorted(key for key in self.there if key > query.after or not query.after)
        found = tuple(self.there[key] for key in names[:size])
        count = len(self.there)
        return PresencePage(
            query.conn, ROOM, query.ref, self.version, count, count, self.digest, found, len(names) > size
        )


class Client:
    """What one connection knows, as pusher-js would."""

    def __init__(self, user):
        self.user = user
        self.members = None

    def listed(self, data):
        presence = json.loads(data)["presence"]
        assert presence["count"] == len(presence["ids"]) == len(presence["hash"])
        assert sorted(presence["ids"]) == sorted(presence["hash"])
        assert self.members is None
        self.members = set(presence["ids"])
        assert self.user in self.members

    def changed(self, changes):
        assert self.members is not None
        for user, info in changes:
            assert user != self.user
            if info is None:
                assert user in self.members
                self.members.remove(user)
            else:
                assert user not in self.members
                self.members.add(user)


class World:
    """A router, a gateway's rosters, and its clients."""

    def __init__(self):
        self.router = Router()
        self.rosters = PusherRosters("g1~0")
        self.clients = {}
        self.asked = []
        self.watched = None
        self.now = 0.0

    def do(self, steps):
        for step in steps:
            match step:
                case Ask():
                    assert step.shard == SHARD
                    self.asked.append(step.query)
                case Subscribed():
                    self.clients[step.conn].listed(step.data)
                case Changed():
                    for conn in step.conns:
                        self.clients[conn].changed(step.changes)
                case Watch():
                    self.watched = step.on

    def subscribe(self, conn, user):
        self.router.come(user)
        self.clients[conn] = Client(user)
        self.do(self.rosters.follow(ROOM, SHARD, conn, user, b"", 100, self.now))

    def answer(self):
        if self.asked:
            self.do(self.rosters.page(self.router.page(self.asked.pop(0)), self.now))

    def settle(self):
        """Nothing is lost any more: time passes, what is asked is answered, and how it stands is told."""
        for _ in range(40):
            self.now += 10
            self.do(self.rosters.tick(self.now))
            while self.asked:
                self.answer()
            count = len(self.router.there)
            self.do(self.rosters.diff(
                PresenceDiff(ROOM, self.router.version, count, count, self.router.digest), self.now
            ))  # fmt: skip


def test_who_subscribes_is_told_the_whole_list_and_oneself():
    """Read once, page by page, for all who wait; oneself is there even if no router has told of that."""
    world = World()
    for user in "abcdefg":
        world.router.come(user, b'{"n":1}')
    world.subscribe("g1~1", "z")
    world.router.go("z")  # its Join is not told of yet
    world.do(world.rosters.follow(ROOM, SHARD, "g1~1", "z", b'{"me":1}', 100, 0.0))
    assert world.watched is True
    assert world.clients["g1~1"].members is None
    for _ in range(3):
        assert len(world.asked) == 1
        world.answer()
    assert world.clients["g1~1"].members == set("abcdefgz")
    assert (world.rosters.rooms, world.rosters.members, world.asked) == (1, 7, [])
    world.do(world.rosters.leave(ROOM, "g1~1"))
    assert (world.watched, world.rosters.rooms, world.rosters.leave(ROOM, "g1~1")) == (False, 0, [])


def test_members_are_told_of_once_and_nobody_of_oneself():
    """A diff that comes twice changes nothing; one that is older neither."""
    world = World()
    world.subscribe("g1~1", "a")
    world.answer()
    world.router.diff()
    world.subscribe("g1~2", "b")
    diff = world.router.diff()
    for _ in range(2):
        world.do(world.rosters.diff(diff, 0.0))
    assert world.clients["g1~1"].members == world.clients["g1~2"].members == {"a", "b"}
    world.router.go("b")
    world.do(world.rosters.diff(world.router.diff(), 0.0))
    world.do(world.rosters.diff(diff, 0.0))
    assert world.clients["g1~1"].members == {"a"}


def test_beyond_the_limit_there_is_no_place():
    """Who is a member already has one, by whatever connection."""
    world = World()
    world.router.come("a")
    world.router.come("b")
    refused = []
    steps = world.rosters.follow(ROOM, SHARD, "g1~9", "c", b"", 2, 0.0)
    query = next(step.query for step in steps if isinstance(step, Ask))
    steps = world.rosters.page(world.router.page(query), 0.0)
    refused = [step for step in steps if isinstance(step, Subscribed)]
    assert refused == [Subscribed("g1~9", ROOM, "")]
    (told,) = world.rosters.follow(ROOM, SHARD, "g1~8", "a", b"", 2, 0.0)
    assert json.loads(told.data)["presence"]["ids"] == ["a", "b"]


def test_a_read_is_repeated_until_it_is_answered_and_anew_for_another_speaker():
    """What an old router says late is no answer."""
    world = World()
    world.subscribe("g1~1", "a")
    late = world.router.page(world.asked[0])
    assert world.rosters.tick(0.1) == []
    assert [step.query for step in world.rosters.tick(10.0)] == [world.asked[0]]
    assert [step.query for step in world.rosters.renew(SHARD, 10.0)] == [world.asked[0]]
    assert world.rosters.renew(SHARD + 1, 10.0) == []
    world.answer()
    assert world.clients["g1~1"].members == {"a"}
    assert world.rosters.page(late, 10.0) == []
    world.rosters.doubt(SHARD)
    world.do(world.rosters.diff(PresenceDiff(ROOM, 0, 0, 0, 0), 11.0))  # in another life of the log
    assert len(world.asked) == 1


def test_a_room_that_tells_numbers_only_stays_as_it_was_known():
    """Nobody is said to have gone because the names are not told any more."""
    world = World()
    world.subscribe("g1~1", "a")
    world.answer()
    world.do(world.rosters.diff(PresenceDiff(ROOM, 99, 9_999, 9_999, 5, counts_only=True), 0.0))
    assert (world.asked, world.clients["g1~1"].members) == ([], {"a"})


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["come", "go", "diff", "lost", "late", "answer", "subscribe", "leave", "tick", "doubt", "twice"]
        ),
        st.integers(0, 7),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_whatever_is_lost_all_see_the_same_in_the_end(events):
    """Diffs are lost, late or doubled, pages come between changes, others subscribe: nobody is told of one who
    is there already or is not there, and in the end everyone knows who is there.
    """
    world, late = World(), []
    for kind, number in events:
        user, conn = f"u{number}", f"g1~{number + 1:x}"
        match kind:
            case "come":
                world.router.come(user)
            case "go":
                world.router.go(user) if user not in {c.user for c in world.clients.values()} else None
            case "diff":
                world.do(world.rosters.diff(world.router.diff(), world.now))
            case "twice":
                diff = world.router.diff()
                world.do(world.rosters.diff(diff, world.now))
                world.do(world.rosters.diff(diff, world.now))
            case "lost":
                world.router.diff()
            case "late":
                late.append(world.router.diff())
                if len(late) > 2:
                    world.do(world.rosters.diff(late.pop(0), world.now))
            case "answer":
                world.answer()
            case "subscribe" if conn not in world.clients:
                world.subscribe(conn, user)
            case "leave":
                world.clients.pop(conn, None)
                world.do(world.rosters.leave(ROOM, conn))
            case "tick":
                world.now += 1
                world.do(world.rosters.tick(world.now))
            case "doubt":
                world.rosters.doubt(SHARD)
    world.settle()
    for client in world.clients.values():
        assert client.members == set(world.router.there) | {client.user}
