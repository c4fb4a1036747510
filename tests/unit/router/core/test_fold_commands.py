"""Fold: what backends' commands do to it, exactly."""

import json

import pytest

from router.core import access
from router.core.effects import BackendEvent, CommandDone, FeedItem
from router.core.fold import Fold
from warren import envelope as wire
from warren.address import shard_of
from warren.envelope import (
    Batch,
    Command,
    Commanded,
    Dismissed,
    Enrolled,
    Entered,
    Gone,
    Hello,
    Join,
    Leave,
    Left,
    Publish,
    Refused,
    Rules,
    TokensRevoked,
)
from warren.position import Position

AT = 1_764_000_000_000_000
RULES = Rules("life", 2, 100, 100, 100, AT)
START = Position("life-1", 0)


class Log:
    """A fold that is restored from its own checkpoint before each entry, and must be the same as one that
    read on.
    """

    def __init__(self, rules=RULES, shard=0, shards=1):
        self.fold = Fold(shard, shards)
        self.at_us = AT
        self.lives = {}
        self.append(rules)

    def append(self, *envelopes):
        fold, record = self.fold, wire.encode(envelopes)
        restored = Fold.restored(fold.shard, fold.shards, fold.offset, fold.parts(64)[0])
        effects = fold.apply(fold.offset + 1, record)
        assert restored.apply(restored.offset + 1, record) == effects
        assert restored.parts(64) == fold.parts(64)
        assert [effect.index for effect in effects] == list(range(1, len(effects) + 1))
        return effects

    def says(self, gateway, *envelopes):
        """Have a gateway say this, where it has no life in a new one."""
        known = self.fold.gateways.get(gateway)
        if known is None:
            life = self.lives[gateway] = self.lives.get(gateway, 0) + 1
            return self.append(Batch(gateway, life, 1, self.at_us), Hello(), *envelopes)[1:]
        return self.append(Batch(gateway, known[0], known[1] + 1, self.at_us), *envelopes)

    def gone(self, gateway):
        return self.append(Gone(gateway, self.fold.gateways[gateway][0], self.at_us))

    def command(self, verb, room, ident="c", **more):
        return self.append(Commanded("r1", self.at_us), Command(ident, verb, room, **more))

    def came(self, effects):
        """Return since when the one that has entered is there."""
        (entered,) = [effect.item for effect in effects if isinstance(getattr(effect, "item", None), Entered)]
        return entered.came_us


def own(conn="g1~1", user="ann", **more):
    return Join("@" + user, conn, user, **more)


def items(effects):
    """Return what goes to gateways, and what backends are told, in short."""
    found = []
    for effect in effects:
        match effect:
            case FeedItem(gateways=gateways, item=Entered() as item):
                found.append(("entered", *gateways, item.conn, item.room))
            case FeedItem(gateways=gateways, item=item):
                found.append((*gateways, item))
            case BackendEvent():
                found.append((effect.kind, effect.room, effect.conn, effect.reason))
            case CommandDone():
                found.append(json.loads(effect.result))
    return found


@pytest.fixture
def log():
    """Ann on two gateways, in room a with one of them; bob in room a."""
    made = Log()
    made.says("g1", own(), Join("a", "g1~1", "ann"), own("g1~2", "bob"), Join("a", "g1~2", "bob"))
    made.says("g2", own("g2~1"))
    return made


# ── disconnect ──────────────────────────────────────────────────────────────────────────────────────────────


def test_all_of_a_users_connections_as_of_this_place_are_dismissed(log):
    """On all gateways; the router that wrote the command is told how many."""
    assert log.command("disconnect", "@ann", reason="Bye") == [
        FeedItem(1, ("g1",), Dismissed("g1~1", 4006, "Bye")),
        BackendEvent(
            2, "client.disconnected", "@ann", AT, "g1~1", "ann", "disconnected", connections=1, members=1
        ),
        FeedItem(3, ("g2",), Dismissed("g2~1", 4006, "Bye")),
        BackendEvent(4, "client.disconnected", "@ann", AT, "g2~1", "ann", "disconnected"),
        CommandDone(5, "c", "@ann", "r1", b'{"connections":2}'),
    ]
    assert "@ann" not in log.fold.rooms
    assert ("entered", "g2", "g2~2", "@ann") in items(log.says("g2", own("g2~2")))


def test_a_command_counts_once(log):
    """Its answer comes again, and whoever has come since stays."""
    log.command("disconnect", "@ann")
    log.says("g2", own("g2~2"))
    assert items(log.command("disconnect", "@ann")) == [{"connections": 2, "duplicate": True}]
    assert log.fold.duplicates == 1
    assert items(log.command("disconnect", "@bob"))[-1] == {"connections": 1}  # an id of another address


def test_who_is_spared_stays(log):
    """And has its place."""
    assert items(log.command("disconnect", "@ann", spare=("g1~1",)))[-1] == {"connections": 1}
    assert log.fold.rooms.targets("@ann") == ("g1",)


def test_a_long_list_of_those_who_are_spared_takes_no_place(log):
    """Those who are there are remembered, and a few who may be away."""
    spare = ("g1~1", *(f"g9~{number:x}" for number in range(1, 90)))
    log.command("disconnect", "@ann", spare=spare)
    (out,) = log.fold._access.put_out.values()
    assert [conn for conn, _ in out.spared] == list(spare[:9])


def test_the_rooms_that_a_dismissed_connection_leaves_are_told_with_the_reason(log):
    """As its gateway says it; and no other word than those that there are."""
    log.command("disconnect", "@ann")
    assert items(log.says("g1", Leave(("a", "@ann"), "g1~1", "", "ann", "disconnected"))) == [
        ("room.left", "a", "g1~1", "disconnected")
    ]
    assert items(log.says("g1", Leave(("a",), "g1~2", "", "bob", "nonsense"))) == [
        ("room.left", "a", "g1~2", "left")
    ]


def test_one_connection_is_dismissed_by_its_own_address(log):
    """The fold of its shard need not know where it is; a gateway that is not there is not told."""
    assert items(log.command("disconnect", "g1~1", code=1012)) == [
        ("g1", Dismissed("g1~1", 1012)),
        {"connections": 1},
    ]
    assert items(log.command("disconnect", "g9~1")) == [{"connections": 0}]


def test_one_connection_that_was_away_is_dismissed_when_it_asks_whether_it_may_stay(log):
    """It asks by a Join of its own address, which nobody is answered who may."""
    ask = Join("g1~1", "g1~1", "ann", "~1", came_us=1)
    assert log.says("g1", ask) == []
    log.gone("g1")
    assert items(log.command("disconnect", "g1~1")) == [{"connections": 0}]
    assert items(log.says("g1", ask)) == [("g1", Dismissed("g1~1", 4006))]
    assert items(log.says("g1", Join("g1~2", "g1~1", "ann", "~1")))[0][1].code == "invalid_room"


def test_a_connection_whose_gateway_was_cut_off_stays_out(log):
    """It comes back in the gateway's next life, and says since when it was there."""
    came_us = log.came(log.says("g1", own("g1~3")))
    log.gone("g1")
    assert items(log.command("disconnect", "@ann", reason="Bye"))[-1] == {"connections": 1}
    assert items(log.says("g1", own("g1~3", came_us=came_us), own("g1~4"))) == [
        ("g1", Dismissed("g1~3", 4006, "Bye")),
        ("entered", "g1", "g1~4", "@ann"),
        ("client.connected", "@ann", "g1~4", ""),
    ]


# ── block ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_blocked_user_is_dismissed_and_does_not_come_in_again(log):
    """Until the block ends by the log's time."""
    until_ms = AT // 1_000 + 10
    assert items(log.command("block", "@bob", until_ms=until_ms)) == [
        ("g1", Dismissed("g1~2", 4006)),
        ("client.disconnected", "@bob", "g1~2", "blocked"),
        {"connections": 1},
    ]
    assert items(log.says("g2", own("g2~5", "bob"))) == [("g2", Dismissed("g2~5", 4006, "You are blocked"))]
    log.at_us = AT + 10_000
    assert items(log.says("g2", own("g2~5", "bob")))[0] == ("entered", "g2", "g2~5", "@bob")
    log.append(wire.Mark("r1", log.at_us))
    log.at_us = AT
    assert items(log.says("g1", own("g1~6", "bob")))[0] == ("entered", "g1", "g1~6", "@bob")


def test_who_comes_into_no_room_is_judged_all_the_same(log):
    """By what keeps a user out of all rooms, and by its token; it changes nothing."""
    asked = wire.AccessQuery("g1~9", "bob", "t1", 5)
    before = log.fold.parts(64)
    assert log.fold.access(asked) == wire.AccessAnswer("g1~9", 0)
    assert log.fold.parts(64) == before
    log.command("revoke", "@bob", "c1", token_id="t1")
    assert log.fold.access(asked) == wire.AccessAnswer("g1~9", 4001, "The token was revoked")
    assert log.fold.access(wire.AccessQuery("g1~9", "bob", "t2", 5)).code == 0
    log.command("block", "@bob", "c2")
    assert log.fold.access(wire.AccessQuery("g1~9", "bob", "t2", 5)) == wire.AccessAnswer(
        "g1~9", 4006, "You are blocked"
    )
    assert log.fold.access(wire.AccessQuery("g1~9", "ann", "t1", 5)).code == 0


def test_a_block_is_lifted(log):
    """Once; who was dismissed by it stays so."""
    came_us = log.came(log.says("g1", own("g1~3", "bob")))
    log.gone("g1")
    log.command("block", "@bob")
    assert items(log.command("unblock", "@bob", "c2")) == [{"lifted": 1}]
    assert items(log.command("unblock", "@bob", "c3")) == [{"lifted": 0}]
    assert items(log.says("g1", own("g1~4", "bob"), own("g1~3", "bob", came_us=came_us))) == [
        ("entered", "g1", "g1~4", "@bob"),
        ("client.connected", "@bob", "g1~4", ""),
        ("g1", Dismissed("g1~3", 4006)),
    ]


def test_a_user_is_blocked_in_one_room(log):
    """Put out of it, refused at its JOIN and with what it publishes there; a repeat of what was taken before
    is still acknowledged.
    """
    log.says("g1", Publish("a", "CHAT", b"1", AT, "g1~1", "ann", "m1"))
    assert items(log.command("block", "a", user="ann")) == [
        ("g1", Left("g1~1", "a", "", "blocked")),
        ("room.left", "a", "g1~1", "blocked"),
        {"connections": 1},
    ]
    said = items(
        log.says(
            "g1",
            Join("a", "g1~1", "ann", "j"),
            Publish("a", "CHAT", b"1", AT, "g1~1", "ann", "m2"),
            Publish("a", "CHAT", b"1", AT, "g1~1", "ann", "m1"),
            Join("a", "g1~1", "ann", "~1", came_us=5),
            Join("b", "g1~1", "ann"),
        )
    )
    assert said == [
        ("g1", Refused("g1~1", "j", "blocked", "You are blocked here")),
        ("g1", Refused("g1~1", "m2", "blocked", "You are blocked here")),
        ("g1", wire.Ack("g1~1", "a", "m1", "life-1", 1)),
        ("g1", Left("g1~1", "a", "~1", "blocked")),
        ("entered", "g1", "g1~1", "b"),
        ("room.joined", "b", "g1~1", ""),
    ]


def test_who_is_blocked_in_a_room_does_not_watch_it(log):
    """Nor does who is put out of it."""
    watch = wire.Watch("a", "g1~1", "ann", True)
    log.says("g1", watch)
    log.command("block", "a", user="ann")
    assert "a" not in log.fold.watchers
    assert items(log.says("g1", watch)) == [("g1", Refused("g1~1", "", "blocked", "You are blocked here"))]


def test_what_does_not_fit_is_refused_and_may_be_asked_again(log, monkeypatch):
    """Under the same id, once there is place; what is known already may be changed."""
    monkeypatch.setattr(access, "MOST", 1)
    until_ms = AT // 1_000 + 10
    log.command("block", "@ann", "c1", until_ms=until_ms)
    full = {"code": "overloaded", "message": "Too much is blocked and revoked on this shard"}
    assert items(log.command("block", "@bob", "c2")) == [full]
    assert items(log.command("revoke", "@bob", "c3", before_s=1)) == [full]
    assert items(log.command("block", "@ann", "c4", until_ms=until_ms)) == [{"connections": 0}]
    log.at_us = AT + 10_000
    assert items(log.command("block", "@bob", "c2"))[-1] == {"connections": 1}


# ── revoke, remove, add ─────────────────────────────────────────────────────────────────────────────────────


def test_revoked_tokens_are_told_to_the_gateways_that_have_the_user(log):
    """They know who came by which token; who comes by one afterwards is dismissed."""
    assert items(log.command("revoke", "@ann", token_id="t1")) == [
        ("g1", "g2", TokensRevoked("ann", "t1", 0)),
        {"connections": 2},
    ]
    assert items(log.says("g1", own("g1~7", token_id="t1"))) == [
        ("g1", Dismissed("g1~7", 4001, "The token was revoked"))
    ]
    assert items(log.command("revoke", "@eve", before_s=5)) == [{"connections": 0}]


def test_a_member_that_joins_again_by_a_revoked_token_is_put_out(log):
    """A client may show an old token at any time."""
    log.command("revoke", "@ann", before_s=100)
    assert items(log.says("g1", own(issued_s=99, came_us=1))) == [
        ("g1", Dismissed("g1~1", 4001, "The token was revoked")),
        ("client.disconnected", "@ann", "g1~1", "revoked"),
    ]


def test_who_comes_after_a_revocation_brings_word_of_it(log):
    """In its own room, wherever it comes and however it joins: its gateway may never have heard of it. Other
    users' bring none, nor do other rooms'.
    """

    def void_s(effects):
        (entered,) = [effect.item for effect in effects if isinstance(getattr(effect, "item", None), Entered)]
        return entered.void_s

    assert void_s(log.says("g3", own("g3~1"))) == 0
    log.says("g3", Leave(("@ann",), "g3~1", "", "ann"))
    log.command("revoke", "@ann", token_id="t1", until_ms=AT // 1_000 + 1)
    log.at_us += 60_000_000
    given_s = AT // 1_000_000 + 1
    assert void_s(log.says("g3", own("g3~2", token_id="t2"))) == given_s
    assert void_s(log.says("g1", own("g1~1", came_us=1))) == given_s
    assert void_s(log.says("g3", own("g3~3", "bob"))) == 0
    assert void_s(log.says("g3", Join("a", "g3~2", "ann"))) == 0


def test_a_revocation_that_has_no_place_voids_nothing(log, monkeypatch):
    """Its backend hears that it was refused."""
    monkeypatch.setattr(access, "MOST", 0)
    log.command("revoke", "@ann", token_id="t1")
    entered = log.says("g1", own("g1~1", came_us=1))[0].item
    assert entered.void_s == 0


def test_a_user_is_removed_from_a_room_and_may_join_again(log):
    """One whose gateway was cut off hears it afterwards; a JOIN that comes later is a new one."""
    came_us = log.came(log.says("g2", Join("a", "g2~1", "ann")))
    log.gone("g2")
    assert items(log.command("remove", "a", user="ann")) == [
        ("g1", Left("g1~1", "a", "", "removed")),
        ("room.left", "a", "g1~1", "removed"),
        {"connections": 1},
    ]
    assert items(log.says("g2", Join("a", "g2~1", "ann", "~1", came_us=came_us))) == [
        ("g2", Left("g2~1", "a", "~1", "removed"))
    ]
    assert items(log.says("g2", Join("a", "g2~1", "ann", "j")))[0] == ("entered", "g2", "g2~1", "a")
    assert log.fold.rooms.members("a", "g1") == {"g1~2": "bob"}


def test_one_connection_is_removed_from_a_room_and_may_join_again(log):
    """The user's others stay, and so does it in other rooms; a repeated command is told what it came to."""
    log.says("g2", Join("a", "g2~1", "ann"))
    assert items(log.command("remove", "a", conn="g1~1", reason="Rude")) == [
        ("g1", Left("g1~1", "a", "", "removed")),
        ("room.left", "a", "g1~1", "removed"),
        {"connections": 1},
    ]
    assert log.fold.rooms.members("a", "g2") == {"g2~1": "ann"}
    assert "g1~1" in log.fold.rooms.members("@ann", "g1")
    assert items(log.says("g1", Join("a", "g1~1", "ann", "j")))[0] == ("entered", "g1", "g1~1", "a")
    assert items(log.command("remove", "a", conn="g1~1")) == [{"connections": 1, "duplicate": True}]
    assert "g1~1" in log.fold.rooms.members("a", "g1")


def test_one_connection_that_is_not_in_the_room_is_not_removed(log):
    """Nobody is told, and it may join afterwards; nor is one whose gateway nobody knows."""
    assert items(log.command("remove", "a", conn="g2~1")) == [{"connections": 0}]
    assert items(log.says("g2", Join("a", "g2~1", "ann", "j")))[0] == ("entered", "g2", "g2~1", "a")
    assert items(log.command("remove", "a", "c2", conn="g9~1")) == [{"connections": 0}]
    assert items(log.command("remove", "nowhere", "c3", conn="g1~1")) == [{"connections": 0}]


def test_one_connection_whose_join_is_on_its_way_is_met_by_its_moment(log):
    """One that was there before, and whose gateway was cut off, hears it when it joins again; the user's
    others come back, and it does too by a JOIN of its own.
    """
    first = log.came(log.says("g2", Join("a", "g2~1", "ann")))
    second = log.came(log.says("g2", Join("a", "g2~2", "ann")))
    log.gone("g2")
    assert items(log.command("remove", "a", conn="g2~1")) == [{"connections": 0}]
    again = [Join("a", f"g2~{n}", "ann", f"~{n}", came_us=came) for n, came in ((1, first), (2, second))]
    assert items(log.says("g2", *again))[:2] == [
        ("g2", Left("g2~1", "a", "~1", "removed")),
        ("entered", "g2", "g2~2", "a"),
    ]
    third = log.came(log.says("g2", Join("a", "g2~1", "ann", "j")))
    log.gone("g2")
    assert items(log.says("g2", Join("a", "g2~1", "ann", "~9", came_us=third)))[0][0] == "entered"


def test_one_that_was_removed_is_not_spared_by_a_later_command(log):
    """That of its user spares it from that command alone."""
    came_us = log.came(log.says("g2", Join("a", "g2~1", "ann")))
    log.gone("g2")
    log.command("remove", "a", conn="g2~1")
    log.command("remove", "a", "c2", user="ann", spare=("g2~1",))
    assert items(log.says("g2", Join("a", "g2~1", "ann", "~1", came_us=came_us))) == [
        ("g2", Left("g2~1", "a", "~1", "removed"))
    ]


def test_one_connection_is_added_to_rooms(log):
    """By its own address, of whatever shard that is; where its gateway is gone, nobody is told."""
    assert items(log.command("add", "g1~1", rooms=("x", "y"))) == [
        ("g1", Enrolled("g1~1", ("x", "y"))),
        {"connections": 1},
    ]
    assert items(log.command("add", "g9~1", rooms=("x",))) == [{"connections": 0}]


def test_a_user_is_added_to_rooms(log):
    """Each of its connections joins them by itself."""
    assert items(log.command("add", "@ann", rooms=("x", "y"), spare=("g1~1",))) == [
        ("g2", Enrolled("g2~1", ("x", "y"))),
        {"connections": 1},
    ]


# ── the limit ───────────────────────────────────────────────────────────────────────────────────────────────


def test_beyond_the_limit_the_oldest_is_replaced():
    """On whichever gateway it is."""
    log = Log()
    log.says("g1", own(limit=2, replace=True), own("g1~2", limit=2, replace=True))
    assert items(log.says("g2", own("g2~1", limit=2, replace=True))) == [
        ("g1", Dismissed("g1~1", 4007, "Connections of one user: at most 2")),
        ("client.disconnected", "@ann", "g1~1", "replaced"),
        ("entered", "g2", "g2~1", "@ann"),
        ("client.connected", "@ann", "g2~1", ""),
    ]


def test_beyond_the_limit_the_new_one_is_refused():
    """It is never there, and backends hear nothing of it; a member that joins again is none too many."""
    log = Log()
    log.says("g1", own(limit=1))
    assert items(log.says("g2", own("g2~1", limit=1))) == [
        ("g2", Dismissed("g2~1", 4007, "Connections of one user: at most 1"))
    ]
    assert items(log.says("g1", own(limit=1))) == [("entered", "g1", "g1~1", "@ann")]
    log.says("g1", Leave(("@ann",), "g1~1"))
    assert items(log.says("g2", own("g2~2", limit=1)))[0] == ("entered", "g2", "g2~2", "@ann")


@pytest.mark.parametrize(
    ("replace", "stays"), [(True, {"g2~1": "ann"}), (False, {"g1~1": "ann"})], ids=["replace", "refuse"]
)
def test_a_gateway_that_comes_back_has_its_place_among_a_users_connections(replace, stays):
    """Its connection is the older one, and counts as itself."""
    log, limited = Log(), {"limit": 1, "replace": replace}
    came_us = log.came(log.says("g1", own(**limited)))
    log.gone("g1")
    log.says("g2", own("g2~1", **limited))
    log.says("g1", own(came_us=came_us, **limited))
    rooms = log.fold.rooms
    assert {**rooms.members("@ann", "g1"), **rooms.members("@ann", "g2")} == stays


# ── what counts ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_wrong_changes_nothing_and_is_said(log):
    """It may be mended and asked under the same id."""
    before = len(log.fold.rooms)
    (done,) = log.command("disconnect", "@ann", code=77)
    assert json.loads(done.result)["code"] == "invalid_message"
    assert len(log.fold.rooms) == before
    assert items(log.command("disconnect", "@ann"))[-1] == {"connections": 2}


def test_a_command_of_another_shard_is_passed_over():
    """As poison is."""
    shard = shard_of("@ann", 4)
    log = Log(shard=(shard + 1) % 4, shards=4)
    assert log.command("disconnect", "@ann") == []
    assert log.fold.skipped == 1


def test_before_the_second_version_commands_and_limits_do_not_count():
    """Nor do the moments at which somebody came: the state has the bytes that older routers make."""
    log = Log(Rules("life", 1, 100, 100, 100, AT))
    assert log.says("g1", own(limit=1), own("g1~2", limit=1, token_id="t"))[0] == FeedItem(
        2, ("g1",), Entered("g1~1", "@ann", START)
    )
    assert log.command("block", "@ann") == []
    assert items(log.says("g1", Leave(("@ann",), "g1~1", "", "ann", "blocked"))) == [
        ("client.disconnected", "@ann", "g1~1", "left")
    ]
    assert log.fold.rooms.members("@ann", "g1") == {"g1~2": "ann"}
    assert log.fold.skipped == 0
    log.append(Rules("life", 2, 100, 100, 100, AT))
    assert items(log.command("disconnect", "@ann"))[-1] == {"connections": 1}


def test_a_new_life_of_the_log_knows_no_block(log):
    """All that was before is void."""
    log.command("block", "@ann")
    log.append(Rules("other", 2, 100, 100, 100, AT, anew=True))
    assert items(log.says("g1", own()))[0] == ("entered", "g1", "g1~1", "@ann")
