"""Feeds: chains of feeds from what a log brings about. That gateways get all of it whatever happens is in
tests/model/test_feed_chains.py.
"""

import pytest

from router.core.effects import BatchRefused, Began, Ended, FeedItem, Marked, Ruled
from router.core.feeds import MOST_WAITING, SHARE, Feeds
from warren.envelope import Ack, Bodies, Deliver, Feed, LifeEnded, Named, Number, Reset, Rules, size_of
from warren.position import LogPosition

RULES = Rules("l", 1, 10, 10, 10, 0)


def at(offset, index=1, life="l"):
    return LogPosition(life, offset, index)


def ack(ident):
    return Ack("g~1", "a", ident, "l-1", 1)


def message(seq, size=2):
    return Deliver("a", "l-1", seq, "CHAT", b"x" * size, 0)


class Log:
    """A log whose gateways and entries a test writes by hand, and the Feeds of one reader."""

    def __init__(self, *living, ring=1_000_000, speaking=True, begun=True):
        self.gateways = dict.fromkeys(living, (1, 0))
        self.ended = {}
        self.life = "l"
        self.offset = 0
        self.feeds = Feeds("r1", 3, ring)
        if speaking:
            self.feeds.begin()
        if begun and living:
            self.entry(*(Began(0, gateway, 1) for gateway in living))

    def entry(self, *effects, counts=None):
        """Append an entry with these effects, numbered from 1; ``counts``: the gateway whose batch it is."""
        self.offset += 1
        if counts:
            life, number = self.gateways[counts]
            self.gateways[counts] = (life, number + 1)
        numbered = [
            type(e)(i, *[getattr(e, f) for f in e.__struct_fields__[1:]]) for i, e in enumerate(effects, 1)
        ]
        self.feeds.take(self.life, self.offset, numbered, self.gateways, self.ended)

    def out(self, item, *gateways, counts=None):
        self.entry(FeedItem(0, gateways, item), counts=counts)

    def drain(self):
        for gateway in list(self.feeds.dirty()):
            assert self.feeds.next(gateway) is not None


def number(mine, gateway="g", life=1):
    return Number(gateway, 3, life, mine)


# ── a chain ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chain_begins_with_the_hello_and_each_feed_with_the_end_of_the_last_one():
    """The first has no ``after``; ``upto`` is the end of the last entry, whoever its last effect was for."""
    log = Log("g", "h")
    assert log.feeds.dirty() == {"g", "h"}
    assert log.feeds.next("g") == Feed("r1", 3, 1, 0, None, at(1, 2), ())
    log.entry(FeedItem(0, ("g",), ack("i")), Marked(0, "r1", 0), FeedItem(0, ("h",), ack("j")), counts="g")
    assert log.feeds.next("g") == Feed("r1", 3, 1, 1, at(1, 2), at(2, 3), ((2, 1, ack("i")),))
    assert log.feeds.next("g") is None
    assert log.feeds.next("h") == Feed("r1", 3, 1, 0, None, at(2, 3), ((2, 3, ack("j")),))
    assert log.feeds.dirty() == set()


def test_what_is_for_others_makes_nobody_dirty():
    """Nor does an entry without effects; the next feed tells how far the log is all the same."""
    log = Log("g", "h")
    log.drain()
    log.out(ack("i"), "h")
    log.entry(counts="g")
    assert log.feeds.dirty() == {"h"}
    assert log.feeds.next("g") is None
    assert log.feeds.idle("g") == Feed("r1", 3, 1, 1, at(1, 2), at(3, 0), ())


def test_idle_gives_what_is_pending_where_something_is():
    """So that an empty feed never overtakes an item."""
    log = Log("g")
    log.drain()
    log.out(ack("i"), "g")
    assert log.feeds.idle("g").items == ((2, 1, ack("i")),)
    assert log.feeds.idle("nobody") is None


def test_a_feed_that_is_too_large_is_cut_at_an_item():
    """``upto`` is the place of the last item in it, and each piece has one item at least."""
    log = Log("g")
    log.drain()
    log.entry(*(FeedItem(0, ("g",), message(seq, 1000)) for seq in (1, 2, 3)))
    log.out(message(4, 5000), "g")
    log.out(message(5, 10), "g")
    feeds = [log.feeds.next("g", 2500) for _ in range(5)]
    assert [feed and (feed.after, feed.upto, [item[2].seq for item in feed.items]) for feed in feeds] == [
        (at(1), at(2, 2), [1, 2]),
        (at(2, 2), at(2, 3), [3]),
        (at(2, 3), at(3), [4]),
        (at(3), at(4), [5]),
        None,
    ]


def test_a_cut_feed_counts_no_batch_of_which_a_part_is_left():
    """``counted`` never runs ahead of ``upto``: an entry that is cut does not count yet, those
    before it do.
    """
    log = Log("g")
    log.drain()
    log.out(ack("a"), "g", counts="g")
    log.entry(FeedItem(0, ("g",), ack("b")), FeedItem(0, ("g",), ack("c")), counts="g")
    log.out(ack("d"), "g", counts="g")
    size = size_of(ack("a"))
    counted = [(feed.upto, feed.counted) for feed in (log.feeds.next("g", size) for _ in range(4))]
    assert counted == [(at(2), 1), (at(3, 1), 1), (at(3, 2), 2), (at(4), 3)]
    log.entry(FeedItem(0, ("g",), ack("e")), FeedItem(0, ("g",), ack("f")), counts="g")
    assert [log.feeds.next("g", size).counted for _ in range(2)] == [3, 4]


def test_a_cut_in_the_very_first_feed_counts_nothing_of_the_hello():
    """Though the batch with the Hello in it is being taken: its items come in two feeds."""
    log = Log()
    log.gateways["g"] = (1, 1)
    log.entry(Began(0, "g", 1), FeedItem(0, ("g",), ack("a")), FeedItem(0, ("g",), ack("b")))
    assert [log.feeds.next("g", 1) for _ in range(2)] == [
        Feed("r1", 3, 1, 0, None, at(1, 2), ((1, 2, ack("a")),)),
        Feed("r1", 3, 1, 1, at(1, 2), at(1, 3), ((1, 3, ack("b")),)),
    ]


def test_nobody_is_fed_by_one_that_does_not_speak():
    """A reader keeps the ring only, and begins to speak with no chain at all."""
    log = Log("g", speaking=False)
    log.out(ack("i"), "g")
    assert (log.feeds.dirty(), log.feeds.next("g"), log.feeds.idle("g")) == (set(), None, None)
    assert log.feeds.number(number(None)) is None
    assert log.feeds.unanswered() == []
    log.feeds.begin()
    assert log.feeds.dirty() == set()
    assert log.feeds.unanswered() == ["g"]
    assert log.feeds.number(number(None)) is None
    assert log.feeds.unanswered() == []
    assert log.feeds.next("g") == Feed("r1", 3, 1, 0, None, at(2), ((2, 1, ack("i")),))
    log.out(ack("j"), "g")
    log.feeds.silence()
    assert (log.feeds.dirty(), log.feeds.next("g"), log.feeds.answers()) == (set(), None, [])


# ── a number ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chain_goes_on_from_the_number():
    """Whatever was sent before; also from within an entry, and by value from the ring, in pieces that fit."""
    log = Log("g", "h")
    log.entry(*(FeedItem(0, ("g",), message(seq, 1000)) for seq in (1, 2, 3)))
    log.out(message(9), "h")
    log.drain()
    assert log.feeds.number(number(at(2, 1))) is None
    assert log.feeds.dirty() == {"g"}
    assert log.feeds.next("g", 1500) == Feed("r1", 3, 1, 0, at(2, 1), at(2, 2), ((2, 2, message(2, 1000)),))
    log.out(message(4), "g")
    assert log.feeds.next("g") == Feed(
        "r1", 3, 1, 0, at(2, 2), at(4), ((2, 3, message(3, 1000)), (4, 1, message(4)))
    )
    log.out(message(5), "g")
    assert log.feeds.next("g") == Feed("r1", 3, 1, 0, at(4), at(5), ((5, 1, message(5)),))


def test_what_has_left_the_ring_is_reset():
    """To the present place, from which the chain goes on; the answer says what was counted up to there."""
    log = Log("g", ring=1000)
    log.drain()
    for ident in "abcdefgh":
        log.out(ack(ident), "g", counts="g")
    now = at(9)
    assert log.feeds.number(number(at(2))) == Reset("r1", 3, 1, now, 8)
    assert log.feeds.number(number(None)) == Reset("r1", 3, 1, now, 8)
    assert log.feeds.dirty() == set()
    log.out(ack("i"), "g", counts="g")
    assert log.feeds.next("g") == Feed("r1", 3, 1, 9, now, at(10), ((10, 1, ack("i")),))


def test_a_reader_that_began_late_serves_nothing_from_before_it():
    """From the Mark on where it began at a checkpoint, else from the first entry that it was given."""
    log = Log(speaking=True)
    log.feeds = Feeds("r1", 3, 1000)
    log.feeds.begin()
    log.feeds.start("l", 7, {"g": (1, 4)}, {"old": (2, 3)})
    assert log.feeds.number(number(at(7, 0))) == Reset("r1", 3, 1, at(7), 4)
    assert log.feeds.number(number(at(7))) is None
    assert log.feeds.next("g") == Feed("r1", 3, 1, 4, at(7), at(7), ())
    assert log.feeds.number(number(None)) == Reset("r1", 3, 1, at(7), 4)
    assert log.feeds.number(number(None, "old", 2)) == LifeEnded(3, 2, 3)
    late = Log("g", begun=False)
    late.offset = 20
    late.out(ack("i"), "g")
    assert late.feeds.number(number(at(20))) == Reset("r1", 3, 1, at(21), 0)
    assert late.feeds.number(number(at(21, 0))) is None
    assert late.feeds.next("g").items == ((21, 1, ack("i")),)


def test_a_number_from_beyond_what_is_read_is_answered_when_as_much_has_been_read():
    """And not before: what a gateway has from another speaker is no gap."""
    log = Log("g")
    log.drain()
    assert log.feeds.number(number(at(3))) is None
    assert log.feeds.next("g") is None
    log.out(ack("i"), "g")
    log.drain()
    log.out(ack("j"), "g")
    assert log.feeds.next("g") == Feed("r1", 3, 1, 0, at(3), at(3), ())
    assert log.feeds.answers() == []


@pytest.mark.parametrize("life", [1, 2])
def test_a_life_that_is_over_is_told_so(life):
    """With what was counted of it where that is known."""
    log = Log("h")
    log.ended["g"] = (2, 9)
    assert log.feeds.number(number(None, life=life)) == LifeEnded(3, life, 9 if life == 2 else 0)


def test_a_lower_life_than_the_living_one_is_over():
    """Only the fold's own life is fed."""
    log = Log("g")
    log.gateways["g"] = (5, 1)
    assert log.feeds.number(number(None, life=4)) == LifeEnded(3, 4, 0)


def test_an_unknown_life_may_have_its_hello_still_to_come():
    """Its chain begins there, however often it asks before; only where it stands at a place that has been
    read is it over.
    """
    log = Log()
    log.entry()
    for _ in range(3):
        assert log.feeds.number(number(None, life=3)) is None
    log.gateways["g"] = (3, 1)
    log.entry(Began(0, "g", 3))
    assert log.feeds.next("g") == Feed("r1", 3, 3, 1, None, at(2), ())
    assert log.feeds.number(number(at(1), "x", 3)) == LifeEnded(3, 3, 0)
    assert log.feeds.number(number(at(9, 0), "x", 3)) is None
    for _ in range(7):
        log.entry()
    assert log.feeds.answers() == [("x", LifeEnded(3, 3, 0))]
    assert log.feeds.answers() == []


def test_numbers_that_wait_are_bounded():
    """Beyond the bound they are dropped: they come again."""
    log = Log("g")
    for each in range(MOST_WAITING + 10):
        log.feeds.number(number(at(99), f"x{each}"))
    assert len(log.feeds._waiting) == MOST_WAITING


def test_a_number_of_another_life_of_the_log_means_that_the_gateways_life_is_over():
    """Whatever its offset: it counts nowhere."""
    log = Log("g")
    assert log.feeds.number(number(at(1, 0, "k"))) == LifeEnded(3, 1, 0)
    assert log.feeds.number(number(at(99, 0, "k"))) == LifeEnded(3, 1, 0)


def test_before_the_log_has_a_life_nothing_can_be_said():
    """The gateway asks again."""
    log = Log(begun=False)
    assert log.feeds.number(number(at(1))) is None


# ── lives ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chain_ends_with_the_gateways_life():
    """It is told what was counted, and gets nothing more."""
    log = Log("g")
    log.drain()
    log.out(ack("i"), "g")
    del log.gateways["g"]
    log.entry(Ended(0, "g", 1, 7))
    assert log.feeds.answers() == [("g", LifeEnded(3, 1, 7))]
    assert (log.feeds.dirty(), log.feeds.next("g"), log.feeds.idle("g")) == (set(), None, None)


def test_a_new_life_of_a_gateway_has_a_chain_of_its_own():
    """Nothing of the former life's is in it, neither from the pending items nor from the ring."""
    log = Log("g")
    log.out(ack("i"), "g")
    log.gateways["g"] = (2, 1)
    log.entry(Ended(0, "g", 1, 7), Began(0, "g", 2), FeedItem(0, ("g",), ack("j")))
    feed = Feed("r1", 3, 2, 1, None, at(3, 3), ((3, 3, ack("j")),))
    assert log.feeds.next("g") == feed
    assert log.feeds.number(number(None, life=2)) is None
    assert log.feeds.next("g") == feed


def test_a_batch_of_a_life_that_does_not_count_is_answered_by_who_speaks():
    """The answer of an older life does not push out that of a newer one."""
    log = Log()
    log.entry(BatchRefused(0, "g", 3, 2))
    log.entry(BatchRefused(0, "g", 2, 0))
    assert log.feeds.answers() == [("g", LifeEnded(3, 3, 2))]
    log.feeds.silence()
    log.entry(BatchRefused(0, "g", 3, 2))
    assert log.feeds.answers() == []


def test_a_new_life_of_the_log_ends_all_that_was():
    """Each gateway that was fed hears that its life is over; nothing from before is given to anybody."""
    log = Log("g", "h")
    log.out(ack("i"), "g")
    log.life = "m"
    log.gateways.clear()
    log.entry(Ruled(0, RULES, True))
    assert log.feeds.dirty() == set()
    assert log.feeds.answers() == [("g", LifeEnded(3, 1, 0)), ("h", LifeEnded(3, 1, 0))]
    log.gateways["g"] = (2, 1)
    log.entry(Began(0, "g", 2))
    assert log.feeds.next("g") == Feed("r1", 3, 2, 1, None, at(4, 1, "m"), ())
    assert log.feeds.number(number(at(2), life=2)) == LifeEnded(3, 2, 0)


def test_rules_that_begin_no_life_change_no_chain():
    """They only take a place in the log."""
    log = Log("g")
    log.drain()
    log.entry(Ruled(0, RULES, False))
    assert log.feeds.idle("g") == Feed("r1", 3, 1, 0, at(1), at(2), ())


# ── what is lost, and what is bounded ───────────────────────────────────────────────────────────────────────


def test_a_feed_that_was_lost_goes_again():
    """The chain goes back, never forward; a loss that was said of another life of the log is none."""
    log = Log("g")
    log.drain()
    for ident in "abc":
        log.out(ack(ident), "g")
        log.drain()
    log.feeds.lost("g", at(2))
    log.feeds.lost("g", at(3))
    log.feeds.lost("g", at(1, 0, "k"))
    log.feeds.lost("nobody", at(1))
    assert log.feeds.next("g") == Feed("r1", 3, 1, 0, at(2), at(4), ((3, 1, ack("b")), (4, 1, ack("c"))))
    log.feeds.lost("g", None)
    assert log.feeds.next("g").items == tuple(
        (offset, 1, ack(i)) for offset, i in ((2, "a"), (3, "b"), (4, "c"))
    )


def test_pending_items_are_bounded_and_come_from_the_ring_then():
    """Nothing is missing in the feed that follows."""
    log = Log("g", ring=SHARE * 1000)
    log.drain()
    for offset in range(2, 20):
        log.out(ack(str(offset)), "g")
        assert log.feeds._chains["g"].bytes <= 1000
    assert log.feeds.next("g") == Feed(
        "r1", 3, 1, 0, at(1), at(19), tuple((offset, 1, ack(str(offset))) for offset in range(2, 20))
    )


def test_a_chain_that_has_fallen_behind_the_ring_is_reset():
    """The gateway is told without being asked."""
    log = Log("g", ring=1000)
    log.drain()
    for ident in "abcdefghij":
        log.out(ack(ident), "g")
    assert log.feeds.next("g") is None
    assert log.feeds.answers() == [("g", Reset("r1", 3, 1, at(11), 0))]
    log.out(ack("k"), "g")
    assert log.feeds.next("g").after == at(11)


# ── for all at once ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_for_all_of_many_gateways_goes_once_and_is_named():
    """First the bodies, then the feeds."""
    log = Log("g", "h", "i")
    log.drain()
    log.out(message(1), "g", "h", "i")
    log.out(message(2), "g", "h")
    assert log.feeds.next_bodies() == Bodies(3, "l", ((2, 1, message(1)),))
    assert log.feeds.next_bodies() is None
    assert log.feeds.next("g").items == ((2, 1, Named()), (3, 1, message(2)))
    assert log.feeds.next("i").items == ((2, 1, Named()),)


def test_what_was_asked_for_goes_by_value():
    """The body may be just what is missing."""
    log = Log("g", "h", "i")
    log.out(message(1), "g", "h", "i")
    log.drain()
    log.feeds.number(number(at(1, 3)))
    assert log.feeds.next("g").items == ((2, 1, message(1)),)
    log.feeds.lost("h", None)
    assert log.feeds.next("h").items == ((2, 1, message(1)),)


@pytest.mark.parametrize(("living", "targets"), [("gh", "gh"), ("ghij", "ghi")])
def test_a_message_for_few_or_not_for_all_goes_by_value(living, targets):
    """It would reach gateways that have no use for it, or save nothing."""
    log = Log(*living)
    log.out(message(1), *targets)
    assert log.feeds.next_bodies() is None
    assert log.feeds.next("g").items == ((2, 1, message(1)),)


def test_an_answer_is_never_named():
    """Only messages go to all."""
    log = Log("g", "h", "i")
    log.out(ack("i"), "g", "h", "i")
    assert log.feeds.next_bodies() is None
    assert log.feeds.next("g").items == ((2, 1, ack("i")),)


def test_bodies_are_bounded_and_cut():
    """Over the bound messages go by value; what goes at once fits."""
    log = Log("g", "h", "i", ring=SHARE * 5000)
    log.drain()
    for seq in range(1, 5):
        log.out(message(seq, 1400), "g", "h", "i")
    assert [body.messages[0][2].seq for body in iter(lambda: log.feeds.next_bodies(100), None)] == [1, 2, 3]
    assert [type(item[2]) for item in log.feeds.next("g").items] == [Named, Named, Named, Deliver]
    log.out(message(5, 1400), "g", "h", "i")
    log.out(message(6, 1400), "g", "h", "i")
    assert len(log.feeds.next_bodies(3200).messages) == 2


def test_how_much_waits_for_a_gateway_is_told_until_it_was_sent():
    """In entries of the log; nothing is told of one that has all, or where nobody speaks."""
    log = Log("g", "h")
    log.drain()
    assert log.feeds.waiting() == {}
    for seq in (1, 2, 3):
        log.out(message(seq), "g")
    assert log.feeds.waiting() == {"g": 3}
    log.drain()
    assert log.feeds.waiting() == {}
    log.out(message(4), "g")
    log.feeds.silence()
    assert log.feeds.waiting() == {}
