"""presence_watchers: who is told what of rooms' presence, and what is asked of routers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import presence_watchers
from gateway.core.presence_watchers import (
    AGAIN_FIRST_S,
    BEHIND_S,
    DOUBTED_AT_ONCE,
    PAGE_S,
    Answer,
    AskRouter,
    PresenceWatchers,
    SendWord,
    TellWatchers,
)
from warren.envelope import (
    Inform,
    PresenceDiff,
    PresenceMember,
    PresencePage,
    PresenceQuery,
    SeenState,
    Watch,
)

ANN = PresenceMember("ann", "ann", b"", 7)
BOB = PresenceMember("bob", "bob", b"", 5)


def watchers(*conns: str, room: str = "r") -> PresenceWatchers:
    made = PresenceWatchers("g", lambda conn: conn not in ("g~gone", "g~0"))
    for shard in range(4):
        made.learn(shard)
    for conn in conns:
        made.watch(room, 2, conn)
    return made


def query(conn="g~1", ref="p", room="r", limit=100, after="", count=False):
    return PresenceQuery(room, conn, ref, limit, after, count)


def diff(version=10, digest=7, room="r", **more):
    return PresenceDiff(room, version, more.pop("users", 1), more.pop("connections", 1), digest, **more)


def page_for(asked: AskRouter, version=10, digest=7, members=(ANN,), **more):
    made = asked.query
    return PresencePage(
        made.conn,
        made.room,
        made.ref,
        version,
        more.pop("users", 1),
        more.pop("connections", 1),
        digest,
        () if made.count else members,
        **more,
    )


def told(steps):
    """Return (who, the payload) of the one TellWatchers."""
    (step,) = steps
    assert isinstance(step, TellWatchers)
    return tuple(step.conns), json.loads(step.payload)


def asked_in(steps) -> AskRouter:
    (step,) = steps
    assert isinstance(step, AskRouter)
    return step


def test_each_watcher_of_a_room_goes_up_once():
    """And once when it stops."""
    made = watchers()
    assert made.watch("r", 2, "g~1") == [SendWord(Watch("r", "g~1", "", True), 2)]
    assert made.watch("r", 2, "g~1") == []
    assert made.watch("r", 2, "g~2") == [SendWord(Watch("r", "g~2", "", True), 2)]
    assert made.rooms == 1
    assert made.unwatch("r", "g~1") == [SendWord(Watch("r", "g~1", "", False), 2)]
    assert made.unwatch("r", "g~1") == []
    made.unwatch("r", "g~2")
    assert made.rooms == 0


def test_nothing_is_written_before_the_routers_are_known_to_read_it():
    """An older one would pass over all that stands beside it: a question of presence finds out. Then all that
    has waited is said, and only that.
    """
    made = PresenceWatchers("g", lambda conn: conn != "g~gone")
    assert made.watch("r", 2, "g~1") == []
    assert made.watch("r", 2, "g~2") == []
    assert made.watch("s", 2, "g~1") == []
    assert made.watch("other", 1, "g~1") == []
    assert made.unwatch("r", "g~2") == []
    for info in (b"1", b"2"):
        assert made.inform(Inform("r", "g~1", info), 2) == []
    assert made.inform(Inform("r", "g~gone", b"3"), 2) == []
    assert made.of(2) == []
    asked = {step.query.room: step for step in made.tick(0.0)}
    assert set(asked) == {"r", "s", "other"}
    assert {step.query for step in made.tick(AGAIN_FIRST_S)} == {step.query for step in asked.values()}
    assert made.page(page_for(asked["r"]), 1.0) == [
        SendWord(Watch("r", "g~1", "", True), 2),
        SendWord(Watch("s", "g~1", "", True), 2),
        SendWord(Inform("r", "g~1", b"2"), 2),
    ]
    assert made.page(page_for(asked["s"]), 1.0) == []
    assert {step.query.room for step in made.tick(1.0)} == {"r", "s"}  # nobody has told of them meanwhile
    assert made.inform(Inform("r", "g~1", b"4"), 2) == [SendWord(Inform("r", "g~1", b"4"), 2)]
    assert made.unwatch("r", "g~1") == [SendWord(Watch("r", "g~1", "", False), 2)]


def test_a_contact_goes_up_once_for_the_gateway():
    """However many watch it here: the log has as little of them as possible."""
    made = watchers()
    own = Watch("@ann", "g~0", "", True)
    assert made.watch("@ann", 1, "g~1", contact=True) == [SendWord(own, 1)]
    assert made.watch("@ann", 1, "g~2", contact=True) == []
    assert made.of(1) == [own]
    assert made.unwatch("@ann", "g~1", contact=True) == []
    assert made.unwatch("@ann", "g~2", contact=True) == [SendWord(Watch("@ann", "g~0", "", False), 1)]
    assert made.of(1) == []


def test_there_are_only_so_many_contacts_on_a_gateway(monkeypatch):
    """One that is watched already takes no place; one that is given up gives it back."""
    monkeypatch.setattr(presence_watchers, "CONTACTS", 1)
    made = watchers()
    made.watch("@ann", 1, "g~1", contact=True)
    assert made.watch("@bob", 1, "g~1", contact=True) is None
    assert made.watch("@ann", 1, "g~2", contact=True) == []
    assert made.watch("@bob", 1, "g~1") is not None
    for conn in ("g~1", "g~2"):
        made.unwatch("@ann", conn, contact=True)
    assert made.watch("@bob", 1, "g~1", contact=True) is not None


def test_a_new_life_on_a_shard_says_again_what_is_watched_there():
    """Each watcher of a room, and the gateway for its contacts."""
    made = watchers("g~1", "g~2")
    made.watch("@ann", 2, "g~1", contact=True)
    made.watch("other", 1, "g~1")
    assert made.of(2) == [
        Watch("r", "g~1", "", True),
        Watch("r", "g~2", "", True),
        Watch("@ann", "g~0", "", True),
    ]


def test_a_diff_is_told_to_all_watchers_at_once():
    """One payload for all of them."""
    conns, payload = told(watchers("g~1", "g~2").diff(diff(joined=(ANN,))))
    assert conns == ("g~1", "g~2")
    assert payload["joined"] == [{"user": "ann", "proof": "0000000000000007"}]


def test_what_was_told_is_not_told_again():
    """A router that begins to speak proves what there is, and one that still speaks tells it too."""
    made = watchers("g~1")
    made.diff(diff(joined=(ANN,)))
    assert made.diff(diff()) == []
    assert made.diff(diff(joined=(ANN,))) == []
    assert made.diff(diff(version=12)) == []
    assert told(made.diff(diff(version=12, digest=9)))[1]["digest"] == "0000000000000009"
    assert told(made.diff(diff(version=13, digest=9, connections=2)))[1]["count"]["connections"] == 2


def test_names_that_come_behind_their_proof_are_told():
    """Else all who watch would have to read what the gateway was told; and they are told once."""
    made = watchers("g~1")
    made.diff(diff())
    assert told(made.diff(diff(11, 12)))[1]["digest"] == "000000000000000c"
    named = diff(11, 12, joined=(BOB,))
    assert told(made.diff(named))[1]["joined"][0]["user"] == "bob"
    assert made.diff(named) == []
    seen = diff(11, 12, seen=SeenState("e", 4, (("bob", 4),)))
    assert told(made.diff(diff(11, 12, seen=SeenState("e", 4))))[1]["seen"] == {"epoch": "e", "sum": 4}
    assert told(made.diff(seen))[1]["seen"]["users"] == {"bob": 4}
    assert made.diff(seen) == []


def test_what_is_older_than_what_was_heard_is_passed_over():
    """It is of a router that stood still; in a new life of the log versions begin anew."""
    made = watchers("g~1")
    made.diff(diff(version=12, digest=12))
    assert made.diff(diff(version=11, digest=11)) == []
    made.doubt(2)
    assert told(made.diff(diff(version=1, digest=1)))[1]["version"] == 1


def test_a_page_that_is_older_than_what_was_heard_is_no_answer():
    """Whoever took it for the truth would hear of nothing that proves it wrong; it is asked for again."""
    made = watchers("g~1")
    asked = asked_in(made.ask(query(), 2, 1.0))
    made.diff(diff(version=12, digest=12))
    assert made.page(page_for(asked, version=11), 1.1) == []
    assert asked_in(made.tick(1.0 + AGAIN_FIRST_S)) == asked
    (answer,) = made.page(page_for(asked, version=12, digest=12), 2.0)
    assert json.loads(answer.payload)["version"] == 12


def test_a_diff_of_a_room_that_nobody_watches_is_nobodys():
    """The router has not heard of that yet."""
    made = watchers("g~1")
    made.unwatch("r", "g~1")
    assert made.diff(diff()) is None


def test_contacts_are_told_who_comes_and_goes():
    """Not how many connections a user has."""
    made = watchers()
    made.watch("@ann", 1, "g~1", contact=True)
    made.watch("@ann", 1, "g~2")
    assert told(made.diff(diff(room="@ann", joined=(ANN,))))[0] == ("g~2", "g~1")
    assert told(made.diff(diff(room="@ann", connections=2)))[0] == ("g~2",)
    assert told(made.diff(diff(room="@ann", digest=0, users=0, connections=0, left=("ann",))))[0] == (
        "g~2",
        "g~1",
    )


def test_a_contact_whose_room_counts_only_is_told_of_too():
    """By the numbers, as soon as it is there or not."""
    made = watchers()
    made.watch("@ann", 1, "g~1", contact=True)
    assert told(made.diff(diff(room="@ann", digest=0, users=0, connections=0)))[0] == ("g~1",)
    assert told(made.diff(diff(room="@ann", digest=0)))[0] == ("g~1",)
    assert made.diff(diff(room="@ann", digest=0, connections=2)) == []


def test_changes_that_are_too_large_are_not_told_by_name():
    """Clients read the room instead, each at its own time, and are charged for it."""
    many = tuple(PresenceMember(f"u{n}", f"u{n}", b'"%s"' % (b"x" * 1000), n) for n in range(300))
    payload = told(watchers("g~1").diff(diff(joined=many)))[1]
    assert "joined" not in payload
    assert payload["digest"] == "0000000000000007"


def test_a_read_is_asked_once_and_answered_to_all():
    """Whoever asks for the same meanwhile waits for the same answer."""
    made = watchers("g~1", "g~2")
    asked = asked_in(made.ask(query("g~1", "p"), 2, 1.0))
    assert (asked.shard, asked.query.conn) == (2, "g~0")
    assert made.ask(query("g~2", "q"), 2, 1.0) == []
    steps = made.page(page_for(asked), 1.1)
    assert [(step.conn, step.ref) for step in steps] == [("g~1", "p"), ("g~2", "q")]
    assert made.page(page_for(asked), 1.1) == []
    assert made.reads == 0


def test_what_was_read_answers_others_while_the_room_is_as_it_was():
    """A storm of clients that lack the same asks the routers once."""
    made = watchers("g~1")
    made.diff(diff())
    made.page(page_for(asked_in(made.ask(query(), 2, 1.0))), 1.0)
    for number in range(1_000):
        (answer,) = made.ask(query(f"g~{number:x}"), 2, 1.5)
        assert isinstance(answer, Answer)
    made.diff(diff(version=11, digest=9))
    asked_in(made.ask(query(), 2, 1.6))


def test_what_was_read_is_not_good_for_long():
    """Something may have been lost that nobody knows of."""
    made = watchers("g~1")
    made.page(page_for(asked_in(made.ask(query(), 2, 1.0))), 1.0)
    asked_in(made.ask(query(), 2, 1.1 + PAGE_S))
    unwatched = watchers()
    unwatched.page(page_for(asked_in(unwatched.ask(query(), 2, 1.0))), 1.0)
    assert isinstance(unwatched.ask(query(), 2, 1.5)[0], Answer)
    asked_in(unwatched.ask(query(), 2, 3.0))
    unwatched.tick(20.0)
    assert unwatched.pages_bytes == 0


def test_other_pages_are_other_reads():
    """Each by what it asks for."""
    made = watchers("g~1")
    for number, one in enumerate((query(), query(limit=5), query(after="a"), query(count=True))):
        asked_in(made.ask(one, 2, 1.0))
        assert made.reads == number + 1


def test_numbers_are_not_a_page():
    """Whoever asks how many there are is not told that nobody is."""
    made = watchers("g~1")
    asked = asked_in(made.ask(query(limit=0, count=True), 2, 1.0))
    (answer,) = made.page(page_for(asked), 1.0)
    assert json.loads(answer.payload) == {
        "version": 10,
        "count": {"users": 1, "connections": 1},
        "digest": "0000000000000007",
    }


def test_who_has_it_already_is_told_no_names():
    """Its digest says so: after a reconnect nobody's list goes again."""
    made = watchers("g~1")
    asked = asked_in(made.ask(query(), 2, 1.0, "0000000000000007"))
    made.ask(query("g~2"), 2, 1.0, "0000000000000008")
    agrees, differs = made.page(page_for(asked), 1.0)
    assert "joined" not in json.loads(agrees.payload)
    assert json.loads(differs.payload)["joined"]
    (later,) = made.ask(query("g~3"), 2, 1.0, "0000000000000007")
    assert later.payload == agrees.payload


def test_a_read_without_an_answer_is_repeated():
    """At growing intervals, and at once where another router speaks; not for those who have gone."""
    made = watchers("g~1")
    asked = asked_in(made.ask(query(), 2, 0.0))
    assert made.tick(AGAIN_FIRST_S / 2) == []
    assert asked_in(made.tick(AGAIN_FIRST_S)).query == asked.query
    assert made.tick(AGAIN_FIRST_S * 1.5) == []
    assert made.renew(1, 2.0) == []
    assert asked_in(made.renew(2, 2.0)) == asked
    gone = watchers()
    gone.ask(query("g~gone"), 2, 0.0)
    assert gone.tick(100.0) == []
    assert gone.reads == 0


def test_the_first_page_is_what_the_first_watcher_was_told():
    """The proof that follows says nothing new."""
    made = watchers("g~1")
    made.page(page_for(asked_in(made.ask(query(), 2, 1.0))), 1.0)
    assert made.diff(diff()) == []


def test_a_page_that_is_ahead_of_the_diffs_takes_none_away():
    """Who has not read it is told what has changed."""
    made = watchers("g~1", "g~2")
    made.diff(diff())
    made.page(page_for(asked_in(made.ask(query(), 2, 1.0)), version=12, digest=12), 1.0)
    assert told(made.diff(diff(version=12, digest=12, joined=(BOB,))))[0] == ("g~1", "g~2")


def test_behind_a_new_life_the_gateway_asks_how_its_rooms_stand():
    """Some at a time; watchers are told where that is not what they were told, and of nothing else."""
    made = watchers("g~1")
    made.diff(diff())
    made.watch("same", 2, "g~1")
    made.diff(diff(room="same"))
    made.watch("elsewhere", 1, "g~1")
    made.doubt(2)
    asked = {step.query.room: step for step in made.tick(5.0)}
    assert set(asked) == {"r", "same"}
    assert all(step.query.count for step in asked.values())
    assert told(made.page(page_for(asked["r"], version=20, digest=20), 5.1))[1]["digest"] == f"{20:016x}"
    assert made.page(page_for(asked["same"]), 5.1) == []
    for number in range(2 * DOUBTED_AT_ONCE):
        made.watch(f"r{number}", 3, "g~1")
    made.doubt(3)
    assert [len(made.tick(6.0)) for _ in range(3)] == [DOUBTED_AT_ONCE, DOUBTED_AT_ONCE, 0]
    assert [len(made.tick(6.0 + AGAIN_FIRST_S)), len(made.tick(6.0 + AGAIN_FIRST_S))] == [
        2 * DOUBTED_AT_ONCE,
        0,
    ]


def test_who_had_no_place_is_told_later_what_there_is():
    """No names, which it asks for where it lacks any; again and again until it has place."""
    made = watchers("g~1", "g~2")
    made.diff(diff(joined=(ANN,)))
    made.missed("r", ["g~2"], 1.0)
    assert made.tick(1.0) == []
    conns, payload = told(made.tick(1.0 + BEHIND_S))
    assert (conns, payload["digest"], "joined" in payload) == (("g~2",), "0000000000000007", False)
    assert made.tick(10.0) == []
    made.missed("r", ["g~2"], 10.0)
    made.unwatch("r", "g~2")
    assert made.tick(20.0) == []


def test_what_is_kept_of_reads_is_bounded(monkeypatch):
    """The oldest goes first."""
    made = watchers("g~1")
    made.page(page_for(asked_in(made.ask(query(), 2, 1.0))), 1.0)
    monkeypatch.setattr(presence_watchers, "PAGES_BYTES", made.pages_bytes + 10)
    made.page(page_for(asked_in(made.ask(query(after="a"), 2, 1.0))), 1.0)
    assert made.pages_bytes <= presence_watchers.PAGES_BYTES
    asked_in(made.ask(query(), 2, 1.0))


@pytest.mark.parametrize("contact", [True, False])
@given(
    st.lists(
        st.tuples(st.sampled_from(["watch", "unwatch"]), st.sampled_from("abc"), st.sampled_from("rs")),
        max_size=60,
    )
)
def test_routers_know_just_who_watches(contact, script):
    """Whatever is done in which order: words alternate, and a new life says the same."""
    made, up = watchers(), set()
    for what, conn, room in script:
        on = what == "watch"
        steps = (
            made.watch(room, 1, conn, contact=contact) if on else made.unwatch(room, conn, contact=contact)
        )
        for step in steps:
            key = step.word.room, step.word.conn
            assert (key in up) != step.word.on
            up ^= {key}
    assert {(watch.room, watch.conn) for watch in made.of(1)} == up
