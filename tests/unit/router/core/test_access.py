"""Access: blocks, revocations, who was put out, and how many connections a user may have."""

import pytest

from gateway.core.grants import SKEW_S
from gateway.core.hook_messages import TTL_MAX_S
from router.core import access
from router.core.access import Access, Denied, PutOut
from warren.envelope import Join

S = 1_000_000  # µs


def join(room="@ann", conn="g1~1", user="ann", **more):
    return Join(room, conn, user, **more)


def gateway_says(table, at_us):
    table.advance(at_us, forget=False)


def router_says(table, at_us):
    table.advance(at_us, forget=True)


def test_a_block_ends_by_the_time_of_the_entries():
    """One without an end stays; one that was changed ends when the last change says."""
    table = Access()
    router_says(table, 10 * S)
    table.block("@ann", "ann", 12_000)
    table.block("@bob", "bob", 0)
    table.block("@eve", "eve", 12_000)
    table.block("@eve", "eve", 14_000)
    assert table.judge(join(), member=False) == Denied("blocked", 4006, "You are blocked")
    gateway_says(table, 12 * S - 1)
    assert table.bars("@ann", "ann")
    gateway_says(table, 12 * S)
    assert [table.bars(f"@{user}", user) for user in ("ann", "bob", "eve")] == [False, True, True]
    router_says(table, 14 * S)
    assert list(table.blocks.until) == [("@bob", "bob")]
    assert (table.unblock("@bob", "bob"), table.unblock("@bob", "bob")) == (True, False)


def test_a_gateway_whose_clock_is_wrong_harms_its_own_clients_alone():
    """What has ended for it has not for others: only a router's entry has it forgotten."""
    table = Access()
    table.block("@ann", "ann", 12_000)
    table.revoke("ann", "t", 0, 12_000)
    table.revoke("ann", "", 9, 12_000)
    gateway_says(table, 99 * S)
    assert table.judge(join(token_id="t"), member=False) is None
    gateway_says(table, 11 * S)
    assert table.judge(join(), member=False) is not None
    table.unblock("@ann", "ann")
    assert [table.judge(join(token_id=each), member=False).why for each in ("t", "")] == ["revoked"] * 2
    router_says(table, 12 * S)
    assert table.revoked == {}


def test_a_block_of_one_room_is_no_reason_to_close():
    """A JOIN is refused, and a member that joins again hears that it is out."""
    table = Access()
    table.block("a", "ann", 0)
    assert table.judge(join("a"), member=False) == Denied("blocked", 0, "You are blocked", False)
    assert table.judge(join("a", came_us=5), member=False) == Denied("blocked", 0, "You are blocked", True)
    assert table.judge(join("b"), member=False) is None
    assert table.judge(join("a", user="bob"), member=False) is None


def test_a_revoked_token_lets_nobody_in_and_nobody_stay():
    """By its id, or by when it was issued; one that does not say when counts as old."""
    table = Access()
    table.revoke("ann", "t1", 0, 0)
    table.revoke("bob", "", 100, 0)
    denied = Denied("revoked", 4001, "The token was revoked")
    assert table.judge(join(token_id="t1", issued_s=900), member=True) == denied
    assert table.judge(join(token_id="t2"), member=False) is None
    for issued_s, found in ((0, denied), (99, denied), (100, None)):
        assert table.judge(join("@bob", user="bob", issued_s=issued_s), member=False) == found
    assert table.judge(join("a", token_id="t1"), member=False) is None  # in their own room alone


def test_a_token_and_all_that_were_issued_before_may_be_revoked_together():
    """Each holds for itself."""
    table = Access()
    table.revoke("ann", "t1", 100, 0)
    assert table.revoked == {("ann", "t1"): (0, 0), ("ann", ""): (100, 0)}
    told = [
        table.judge(join(token_id=each, issued_s=at_s), member=False)
        for each, at_s in (("t1", 200), ("t2", 99), ("t2", 100))
    ]
    assert [denied is not None for denied in told] == [True, True, False]


def test_a_second_revocation_takes_nothing_back():
    """The later issue counts, and the later end."""
    table = Access()
    router_says(table, S)
    table.revoke("ann", "", 100, 5_000)
    table.revoke("ann", "", 50, 3_000)
    assert table.revoked == {("ann", ""): (100, 5_000)}
    router_says(table, 3 * S)
    assert table.revoked
    table.revoke("ann", "", 50, 0)
    router_says(table, 99 * S)
    assert table.revoked == {("ann", ""): (100, 0)}


def test_a_revocation_voids_what_its_user_was_granted_before():
    """By its own time, whichever tokens it names and however soon they have expired; a later one voids more."""
    table = Access()
    router_says(table, 10 * S)
    assert table.void_s("ann") == 0
    table.revoke("ann", "t", 0, 10_500)
    assert (table.void_s("ann"), table.void_s("bob")) == (11, 0)
    router_says(table, 12 * S)
    assert table.revoked == {}
    assert table.void_s("ann") == 11
    table.revoke("ann", "", 900, 0)  # tokens that will be issued only
    assert table.void_s("ann") == 13


def test_what_was_voided_is_remembered_for_as_long_as_a_grant_is_good():
    """By a router's time, not by that of a gateway whose clock is wrong."""
    table = Access()
    router_says(table, 10 * S)
    table.revoke("ann", "t", 0, 0)
    router_says(table, 20 * S)
    table.revoke("bob", "t", 0, 0)
    last_s = 11 + access.VOIDED_KEPT_S
    gateway_says(table, (last_s + 99) * S)
    router_says(table, last_s * S - 1)
    assert table.void_s("ann") == 11
    router_says(table, last_s * S)
    assert table.voided == {"bob": 21}


def test_a_user_who_is_revoked_again_is_remembered_anew():
    """It stands behind the others, so these are forgotten in time."""
    table = Access()
    for at_s, user in ((10, "ann"), (20, "bob"), (30, "ann")):
        router_says(table, at_s * S)
        table.revoke(user, "t", 0, 0)
    assert list(table.voided.items()) == [("bob", 21), ("ann", 31)]
    router_says(table, (21 + access.VOIDED_KEPT_S) * S)
    assert table.voided == {"ann": 31}


def test_readers_forget_the_same_whenever_they_began():
    """Routers' clocks differ, so one that was revoked later may be forgotten sooner."""
    table = Access()
    for at_s, user in ((30, "ann"), (20, "bob")):
        router_says(table, at_s * S)
        table.revoke(user, "t", 0, 0)
    router_says(table, 40 * S)
    table.revoke("ann", "t", 0, 0)  # so that bob is the oldest
    restored = Access(times=table.times, voided=dict(table.voided))
    for each in (table, restored):
        router_says(each, (21 + access.VOIDED_KEPT_S) * S)
    assert table.voided == restored.voided == {"ann": 41}


def test_where_too_many_users_were_revoked_grants_of_all_are_void(monkeypatch):
    """Those that were given before the revocation that is not remembered any more: backends are asked."""
    monkeypatch.setattr(access, "MOST_VOIDED", 2)
    table = Access()
    for at_s, user in ((10, "ann"), (20, "bob"), (30, "kim")):
        router_says(table, at_s * S)
        table.revoke(user, "t", 0, 0)
    assert table.voided == {"bob": 21, "kim": 31}
    assert [table.void_s(user) for user in ("ann", "bob", "kim", "eve")] == [11, 21, 31, 11]
    assert Access(times=table.times).void_s("eve") == 11


def test_no_grant_outlives_the_memory_of_a_revocation():
    """Also where its gateway's clock is as far ahead as it may be."""
    assert access.VOIDED_KEPT_S > TTL_MAX_S + 2 * SKEW_S


def test_who_was_put_out_while_it_was_away_stays_out():
    """It came before; one that comes afterwards, joins again or not, is none of those."""
    table = Access()
    router_says(table, S)
    before = table.entered(join())
    table.put(("@ann", "ann"), 4006, "go", "disconnected")
    after = table.entered(join(conn="g1~2"))
    assert table.judge(join(came_us=before), member=False) == Denied("disconnected", 4006, "go", True)
    assert table.judge(join(came_us=before), member=True) is None  # whoever is there was not met
    assert table.judge(join(conn="g1~2", came_us=after), member=False) is None
    assert table.judge(join(conn="g1~3"), member=False) is None


def test_who_is_spared_is_spared_by_that_command_alone():
    """One that an earlier command has met stays out."""
    table = Access()
    first = table.entered(join())
    table.put(("@ann", "ann"), 4006, "", "disconnected")
    second = table.entered(join(conn="g1~2"))
    table.put(("@ann", "ann"), 4006, "", "disconnected", ("g1~1", "g1~2"))
    assert table.judge(join(came_us=first), member=False) is not None
    assert table.judge(join(conn="g1~2", came_us=second), member=False) is None
    table.put(("@ann", "ann"), 4006, "", "disconnected", ("g1~2",))
    assert table.judge(join(conn="g1~2", came_us=second), member=False) is None
    table.put(("@ann", "ann"), 4006, "", "disconnected")
    assert table.judge(join(conn="g1~2", came_us=second), member=False) is not None


def test_one_connection_is_put_out_of_a_room_by_itself():
    """Its user's others stay; by its moment, as all are."""
    table = Access()
    first = table.entered(join("a"))
    other = table.entered(join("a", conn="g1~2"))
    table.put(("a", "g1~1"), 0, "Rude", "removed")
    later = table.entered(join("a"))
    assert table.judge(join("a", came_us=first), member=False) == Denied("removed", 0, "Rude", True)
    assert table.judge(join("a", conn="g1~2", came_us=other), member=False) is None
    assert table.judge(join("a", came_us=later), member=False) is None
    assert table.judge(join("b", came_us=first), member=False) is None


def test_who_may_have_been_forgotten_is_asked_to_come_as_a_new_connection(monkeypatch):
    """That is right whether it was put out or not."""
    monkeypatch.setattr(access, "MOST_PUT_OUT", 2)
    table = Access()
    old = table.entered(join("a"))
    for room in "abc":
        table.put((room, "ann"), 0, "", "removed")
    young = table.entered(join("a"))
    assert list(table.put_out) == [("b", "ann"), ("c", "ann")]
    assert table.judge(join("a", came_us=old), member=False) == Denied("", 1012, "", True)
    assert table.judge(join("a", came_us=young), member=False) is None
    assert table.judge(join("a"), member=False) is None


def test_no_more_is_remembered_than_may_be(monkeypatch):
    """Blocks and revocations together."""
    monkeypatch.setattr(access, "MOST", 2)
    table = Access()
    table.block("a", "ann", 0)
    assert not table.full
    table.revoke("ann", "", 1, 0)
    assert table.full


def test_what_ends_is_not_noted_again_and_again():
    """A block that is changed a thousand times takes the place of one."""
    table = Access()
    for until_ms in range(1, 1_001):
        table.block("a", "ann", until_ms)
    assert len(table._ends) < 100
    router_says(table, 999_000)
    assert table.bars("a", "ann")
    router_says(table, 1_000_000)
    assert not table.bars("a", "ann")


@pytest.mark.parametrize(("replace", "goes"), [(True, "g1~1"), (False, "g2~3")])
def test_the_oldest_goes_or_the_latest_one(replace, goes):
    """In the order of the log, whatever their gateways are called."""
    table = Access()
    limited = {"limit": 2, "replace": replace}
    for conn in ("g1~1", "g2~2"):
        assert table.too_many(join(conn=conn, **limited), table.came) == []
        table.entered(join(conn=conn, **limited))
    assert table.too_many(join(conn="g2~3", **limited), table.came) == [goes]


@pytest.mark.parametrize(("replace", "goes"), [(True, "g1~1"), (False, "g2~2")])
def test_who_joins_again_has_the_place_that_it_had(replace, goes):
    """So the oldest is still that, though another has come while it was away."""
    table = Access()
    limited = {"limit": 1, "replace": replace}
    came_us = table.entered(join(**limited))
    table.left("@ann", ["g1~1"])
    table.entered(join(conn="g2~2", **limited))
    assert table.too_many(join(came_us=came_us, **limited), ["g2~2"]) == [goes]


def test_a_limit_that_was_lowered_is_kept_by_the_next_who_comes():
    """By as many of the oldest as are too many; where the latest is refused, those who are in stay."""
    table = Access()
    present = [f"g1~{number}" for number in range(5)]
    for conn in present:
        table.entered(join(conn=conn, limit=9))
    assert table.too_many(join(conn="g2~9", limit=2, replace=True), present) == present[:4]
    assert table.too_many(join(conn="g2~9", limit=2), present) == ["g2~9"]
    assert table.too_many(join(conn="g2~9"), present) == []


def test_who_came_without_a_limit_is_older_than_all_that_had_one():
    """In the order in which they are there."""
    table = Access()
    table.entered(join())
    table.entered(join(conn="g1~2", limit=2))
    assert table.came == {"g1~2": 2}
    assert table.too_many(join(conn="g1~3", limit=2, replace=True), ["g1~2", "g1~1"]) == ["g1~1"]


def test_a_member_that_joins_again_is_told_since_when_it_is_there():
    """What its gateway says where that is not known; and now where nobody knows it."""
    table = Access()
    came_us = table.entered(join(limit=1))
    router_says(table, S)
    assert table.stays(join()) == came_us
    assert table.stays(join(conn="g1~2", came_us=7)) == 7
    assert table.stays(join(conn="g1~2")) == S + 1


def test_one_who_was_put_out_is_met_by_its_moment():
    """Not by its name."""
    out = PutOut(10, 4006, "", "disconnected", (("g1~1", 5),))
    assert [out.meets("g1~1", 4), out.meets("g1~1", 5), out.meets("g1~2", 5), out.meets("g1~2", 10)] == [
        True,
        False,
        True,
        False,
    ]
