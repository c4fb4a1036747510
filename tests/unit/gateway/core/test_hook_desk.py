"""hook_desk: scripts of questions and answers, and the exact list of steps."""

import itertools
import json
import random

import pytest

from gateway.core.grants import SKEW_S, GrantKeys
from gateway.core.hook_desk import (
    OUT_BYTES_MAX,
    RETRY_LATE_MS,
    RETRY_MS,
    USER_OPEN_MAX,
    Allowed,
    Ask,
    Denied,
    HookDesk,
    Tell,
    Undecided,
    Waiter,
)
from gateway.core.hook_messages import HookAnswer, HookMessage, HookQuery
from gateway.core.hook_queue import USER_PART, WAIT_S, WINDOW_FIRST, WINDOW_MOST
from warren.errors import ErrorCode

KEYS = GrantKeys([b"k" * 32])
NOW, NOW_S = 100.0, 5_000.0
ALLOW = b'{"allow":true}'
ALLOW_60 = b'{"allow":true,"ttl":60}'
DENY = b'{"allow":false,"reason":"not yours"}'


def desk(keys: GrantKeys = KEYS) -> HookDesk:
    return HookDesk(keys, timeout_s=1.0, payload_bytes=1_000)


def join(user: str = "ann", room: str = "r", **more) -> HookQuery:
    return HookQuery("join", user, f"{user}~1", room=room, namespace="n", **more)


def publish(name: str = "1", user: str = "ann", payload: bytes = b"1", **more) -> HookQuery:
    message = HookMessage("CHAT", payload, id=name)
    return HookQuery("publish", user, f"{user}~1", room="r", namespace="n", message=message, **more)


def consult(on: HookDesk, query: HookQuery, conn: str = "", ticket: int = 1, now: float = NOW, now_s=NOW_S):
    return on.consult(query, Waiter(conn or query.connection, ticket, query.anonymous), now, now_s)


def ask(on: HookDesk, query: HookQuery, conn: str = "", ticket: int = 1, now: float = NOW) -> Ask:
    (step,) = consult(on, query, conn, ticket, now)
    assert isinstance(step, Ask)
    return step


def verdict(steps):
    """Return the verdict of the one Tell there is."""
    (told,) = [step for step in steps if isinstance(step, Tell)]
    return told.verdict


def test_what_is_not_known_is_asked():
    """The backend of this hook and namespace; who wants to know is told what it says."""
    on = desk()
    query = join()
    assert consult(on, query) == [
        Ask(
            1,
            "join",
            "n",
            "ann",
            b'{"hook":"join","connection":"ann~1","user":"ann","room":"r","namespace":"n"}',
        )
    ]
    assert on.answered(1, ALLOW, NOW, NOW_S) == [
        Tell((Waiter("ann~1", 1),), query, Allowed(HookAnswer(True), given_s=5_000))
    ]
    assert (len(on), on.out) == (0, 0)


def test_an_allow_with_a_time_is_kept_and_granted():
    """The next one who asks is told without a question, and the grant is good from when the backend gave
    it.
    """
    on = desk()
    number = ask(on, join()).number
    first = verdict(on.answered(number, b'{"allow":true,"ttl":60,"rights":["publish"]}', NOW, NOW_S))
    assert (first.source, first.until_s) == ("backend", 5_060)
    again = verdict(consult(on, join(), now=NOW + 50, now_s=NOW_S + 50))
    assert (again.source, again.until_s, again.grant) == ("cache", 5_060, first.grant)
    elsewhere = desk()
    shown = verdict(consult(elsewhere, join(grant=first.grant), now_s=5_059.0))
    assert shown == Allowed(HookAnswer(True, publish=True), "", 5_060, "grant", 5_000)
    late = consult(elsewhere, join(grant=first.grant), now_s=5_060.0)
    assert isinstance(late[0], Ask)


def test_without_keys_there_is_no_grant():
    """The answer is kept all the same."""
    on = desk(GrantKeys())
    told = verdict(on.answered(ask(on, join()).number, ALLOW_60, NOW, NOW_S))
    assert told.grant == ""
    assert verdict(consult(on, join())).source == "cache"


def test_a_grant_of_another_is_asked_about():
    """As if none had been shown."""
    on = desk()
    grant = verdict(on.answered(ask(on, join()).number, ALLOW_60, NOW, NOW_S)).grant
    for query in (join("bob", grant=grant), join(room="s", grant=grant), join("eve", grant="rubbish")):
        assert isinstance(consult(on, query)[0], Ask)


def test_a_denial_is_kept_for_a_moment():
    """So who is refused and asks again at once costs the backend nothing; after that it is asked again."""
    on = desk()
    assert verdict(on.answered(ask(on, join()).number, DENY, NOW, NOW_S)) == Denied("not yours")
    assert verdict(consult(on, join(), now=NOW + 4.9)) == Denied("not yours", "cache")
    assert isinstance(consult(on, join(), now=NOW + 5.0)[0], Ask)


def test_the_same_question_is_out_once():
    """However many connections of the user have it; all of them are told."""
    on = desk()
    number = ask(on, join()).number
    assert consult(on, join(), "ann~2", 7) == []
    assert consult(on, join(), "ann~3", 8) == []
    (told,) = on.answered(number, ALLOW, NOW, NOW_S)
    assert told.waiters == (Waiter("ann~1", 1), Waiter("ann~2", 7), Waiter("ann~3", 8))
    assert isinstance(consult(on, join())[0], Ask)


def test_who_shows_other_claims_or_headers_has_another_question():
    """For its answer may be another."""
    on = desk()
    for more in ({}, {"claims": b'{"a":1}'}, {"claims": b'{"a":2}'}, {"headers": (("cookie", "x"),)}):
        assert isinstance(consult(on, join(**more))[0], Ask)


def test_each_message_is_a_question_of_its_own():
    """Its answer is good for it alone, unless the backend says for how long."""
    on = desk()
    first, second = ask(on, publish("1")), ask(on, publish("2"))
    assert verdict(on.answered(first.number, DENY, NOW, NOW_S)) == Denied("not yours")
    assert isinstance(consult(on, publish("3"))[0], Ask)
    changed = b'{"allow":true,"ttl":60,"payload":"***"}'
    told = verdict(on.answered(second.number, changed, NOW, NOW_S))
    assert (told.answer.payload, told.until_s, told.grant) == (b'"***"', 5_060, "")
    kept = verdict(consult(on, publish("4")))
    assert (kept.answer.payload, kept.source, kept.until_s) == (None, "cache", 5_060)


@pytest.mark.parametrize("body", [b"", b"rubbish", b"{}", b'{"allow":"yes"}', b'{"allow":true,"ttl":-1}'])
def test_rubbish_decides_nothing(body):
    """It is closed, and the next question is asked."""
    on = desk()
    told = verdict(on.answered(ask(on, join()).number, body, NOW, NOW_S))
    assert told == Undecided("invalid", RETRY_MS)
    assert told.code is ErrorCode.UNAVAILABLE
    assert isinstance(consult(on, join())[0], Ask)


def test_only_the_first_word_counts():
    """A second answer, one after the time is over, and one to what was never asked change nothing."""
    on = desk()
    number = ask(on, join()).number
    on.answered(number, DENY, NOW, NOW_S)
    assert on.answered(number, ALLOW_60, NOW, NOW_S) == []
    assert on.failed(number, "timeout", 0, NOW) == []
    assert on.answered(99, ALLOW_60, NOW, NOW_S) == []
    assert verdict(consult(on, join())) == Denied("not yours", "cache")
    late = ask(on, join("bob")).number
    assert verdict(on.failed(late, "timeout", 0, NOW)) == Undecided("timeout", RETRY_MS)
    assert on.answered(late, ALLOW_60, NOW, NOW_S) == []
    assert isinstance(consult(on, join("bob"))[0], Ask)


def test_where_nobody_can_be_asked_all_who_wait_are_told():
    """With when to come again, and nothing is asked meanwhile that waits; what is out stays."""
    on = desk()
    out = [ask(on, join(f"u{number}")).number for number in range(int(WINDOW_FIRST))]
    for number in range(5):
        assert consult(on, join(f"w{number}")) == []
    steps = on.failed(out[0], "unavailable", 2_500, NOW)
    assert [step.verdict for step in steps] == [Undecided("unavailable", 2_500)] * 6
    assert {waiter.conn for step in steps for waiter in step.waiters} == {
        "u0~1", *(f"w{number}~1" for number in range(5))
    }  # fmt: skip
    assert len(on) == on.out == len(out) - 1


def test_what_waits_is_asked_as_others_are_answered():
    """In turn, and who has waited for too long is told so."""
    on = desk()
    for number in range(int(WINDOW_FIRST)):
        ask(on, join(f"u{number}"), now=NOW + 4.9)
    consult(on, join("early"))
    consult(on, join("later"), now=NOW + 4)
    steps = on.answered(1, ALLOW, NOW + WAIT_S, NOW_S)
    assert [step.query.user for step in steps if isinstance(step, Tell)] == ["u0", "early"]
    assert steps[1].verdict == Undecided("overloaded", RETRY_LATE_MS)
    assert steps[1].verdict.code is ErrorCode.OVERLOADED
    assert [step.caller for step in steps if isinstance(step, Ask)] == ["later"]


def test_one_user_takes_a_few_places_only():
    """Over all its connections, and however many rooms it makes up; the others are asked about as before."""
    on = desk()
    for number in range(USER_OPEN_MAX):
        consult(on, join("mallory", f"room{number}"), f"m~{number % 9}", number)
    told = verdict(consult(on, join("mallory", "one more"), "m~3", 99))
    assert told == Undecided("overloaded", RETRY_MS)
    consult(on, join("ann"))
    assert isinstance(consult(on, join("bob"))[0], Ask)
    assert len(on) == USER_OPEN_MAX + 2
    assert on.out == int(WINDOW_FIRST) // USER_PART + 2


def test_who_goes_leaves_its_place():
    """What waits is forgotten where nobody else wants to know; what is out is waited for, and kept for
    others.
    """
    on = desk()
    out = [ask(on, join(f"u{number}")).number for number in range(int(WINDOW_FIRST))]
    consult(on, join("ann"), "ann~1", 1)
    consult(on, join("ann"), "ann~2", 2)
    consult(on, join("bob"), "bob~1", 3)
    on.gone("ann~1")
    on.gone("bob~1")
    on.gone("nobody")
    on.gone("u0~1")
    assert len(on) == len(out) + 1
    steps = on.answered(out[0], ALLOW_60, NOW, NOW_S)
    assert steps[0].waiters == ()
    asked = next(step for step in steps if isinstance(step, Ask))
    assert on.answered(asked.number, ALLOW, NOW, NOW_S)[0].waiters == (Waiter("ann~2", 2),)
    assert verdict(consult(on, join("u0"))).source == "cache"
    assert not on._by_conn.keys() & {"ann~1", "ann~2", "bob~1", "u0~1"}


def test_large_messages_are_out_one_after_the_other():
    """As many as fit; a single one may be larger."""
    on = desk()
    large = b'"' + b"x" * OUT_BYTES_MAX + b'"'
    first = ask(on, publish("1", "a", large))
    assert consult(on, publish("2", "b", large)) == []
    assert consult(on, publish("3", "c")) == []
    assert isinstance(consult(on, join("c"))[0], Ask)  # another backend's
    steps = on.answered(first.number, ALLOW, NOW, NOW_S)
    assert [step.caller for step in steps if isinstance(step, Ask)] == ["b"]
    small = [publish(str(number), f"u{number}") for number in range(4)]
    steps = on.answered(2, ALLOW, NOW, NOW_S)
    assert [step.caller for step in steps if isinstance(step, Ask)] == ["c"]
    assert all(isinstance(consult(on, query)[0], Ask) for query in small)


def test_what_was_granted_before_a_revocation_does_not_count():
    """Neither a grant nor an answer that is kept, for who asks as one whose grants were revoked; a denial does."""
    on, void_s = desk(), int(NOW_S) - SKEW_S + 1
    grant = verdict(on.answered(ask(on, join()).number, ALLOW_60, NOW, NOW_S)).grant
    assert verdict(consult(on, join(grant=grant, void_s=void_s - 1))).source == "grant"
    assert verdict(consult(on, join(void_s=void_s - 1))).source == "cache"
    again = ask(on, join(grant=grant, void_s=void_s)).number
    fresh = verdict(on.answered(again, ALLOW_60, NOW, NOW_S + 1))
    assert (fresh.source, fresh.given_s) == ("backend", 5_001)
    assert verdict(consult(on, join(grant=fresh.grant, void_s=void_s))).given_s == 5_001
    assert verdict(consult(on, join(void_s=void_s))).given_s == 5_001
    on.answered(ask(on, join("bob")).number, DENY, NOW, NOW_S)
    assert verdict(consult(on, join("bob", void_s=void_s + 9))) == Denied("not yours", "cache")


def test_a_revocation_voids_answers_that_are_kept_or_on_their_way():
    """Of that user; what was asked before and is answered behind it is neither kept nor granted."""
    on = desk()
    on.answered(ask(on, join()).number, ALLOW_60, NOW, NOW_S)
    on.answered(ask(on, join("bob")).number, ALLOW_60, NOW, NOW_S)
    under_way = ask(on, join(room="s")).number
    on.revoked("ann")
    ask(on, join())
    assert ask(on, join(room="s"), ticket=2).number != under_way
    late = verdict(on.answered(under_way, ALLOW_60, NOW, NOW_S))
    assert (late.grant, late.until_s) == ("", 0)
    assert len(on.cache) == 1  # Bob's


def connect(user: str = "ann", conn: str = "", anonymous: str = "", **more) -> HookQuery:
    return HookQuery("connect", user, conn or f"{user}~1", anonymous=anonymous, **more)


def test_who_was_let_in_may_come_back_without_a_question():
    """By what the backend said of it, on any gateway with the same keys, until its time is over."""
    on, elsewhere = desk(), desk()
    body = b'{"allow":true,"ttl":60,"user":"kim","rooms":["vip:a"],"info":{"n":1}}'
    shown = {"claims": b'{"plan":"gold"}', "headers": (("cookie", "c"),)}
    first = verdict(on.answered(ask(on, connect(**shown)).number, body, NOW, NOW_S))
    assert first.until_s == 5_060
    again = verdict(consult(on, connect(**shown)))
    assert (again.source, again.grant) == ("cache", first.grant)
    back = verdict(consult(elsewhere, connect(grant=first.grant, **shown), now_s=5_059.0))
    answer = HookAnswer(True, user="kim", rooms=("vip:a",), info=b'{"n":1}')
    assert back == Allowed(answer, "", 5_060, "grant", 5_000)
    assert isinstance(consult(elsewhere, connect(grant=first.grant, **shown), now_s=5_060.0)[0], Ask)


def test_an_answer_that_is_too_long_for_a_grant_brings_none():
    """It is kept, and somebody is to hear that clients which come back are asked about."""
    on = desk()
    rooms = [f"{number:0128}" for number in range(30)]
    body = json.dumps({"allow": True, "ttl": 60, "rooms": rooms}).encode()
    told = verdict(on.answered(ask(on, connect()).number, body, NOW, NOW_S))
    assert (told.grant, told.too_long, told.until_s) == ("", True, 5_060)
    assert verdict(consult(on, connect())).source == "cache"
    keyless = desk(GrantKeys())
    assert not verdict(keyless.answered(ask(keyless, connect()).number, body, NOW, NOW_S)).too_long


def test_a_grant_to_connect_that_does_not_hold_is_asked_about():
    """Another user's, one that was given for other claims, one of other keys, one of before a revocation, one
    to join; and an answer without a time brings none.
    """
    on, strange = desk(), desk(GrantKeys([b"s" * 32]))
    grant = verdict(on.answered(ask(on, connect()).number, ALLOW_60, NOW, NOW_S)).grant
    joins = verdict(on.answered(ask(on, join()).number, ALLOW_60, NOW, NOW_S)).grant
    for each, query in (
        (desk(), connect("bob", grant=grant)),
        (desk(), connect(claims=b"{}", grant=grant)),
        (desk(), connect(headers=(("cookie", "c"),), grant=grant)),
        (desk(), connect(anonymous="ann", grant=grant)),
        (strange, connect(grant=grant)),
        (desk(), connect(grant=grant, void_s=5_000)),
        (desk(), connect(grant=joins)),
        (desk(), join(grant=grant)),
    ):
        assert isinstance(consult(each, query)[0], Ask)
    assert verdict(consult(desk(), connect(grant=grant))).source == "grant"
    assert verdict(on.answered(ask(on, connect("eve")).number, ALLOW, NOW, NOW_S)).grant == ""


def test_who_has_no_name_is_asked_about_once_for_all():
    """Where nothing else tells them apart, and counts for its own connection where places are shared out.
    Each is granted by the name that it is told, which it shows when it comes back.
    """
    on = desk()
    number = ask(on, connect("", "g~1", "guest-1"), "g~1").number
    assert on.consult(connect("", "g~2", "guest-2"), Waiter("g~2", 1, "guest-2"), NOW, NOW_S) == []
    one, two = on.answered(number, b'{"allow":true,"ttl":9}', NOW, NOW_S)
    assert [tell.waiters[0].conn for tell in (one, two)] == ["g~1", "g~2"]
    for tell, name in ((one, "guest-1"), (two, "guest-2")):
        back = connect(name, "g~3", name, grant=tell.verdict.grant)
        assert verdict(consult(desk(), back)).source == "grant"
        other = connect("guest-3", "g~3", "guest-3", grant=tell.verdict.grant)
        assert isinstance(consult(desk(), other)[0], Ask)
    kept = verdict(on.consult(connect("", "g~4", "guest-4"), Waiter("g~4", 1, "guest-4"), NOW, NOW_S))
    assert kept.source == "cache"
    back = connect("guest-4", "g~5", "guest-4", grant=kept.grant)
    assert verdict(consult(desk(), back)).source == "grant"
    assert json.loads(on.consult(connect("", "g~3", claims=b'{"a":1}'), Waiter("g~3", 1), NOW, 0)[0].body)[
        "connection"
    ] == "g~3"  # fmt: skip


def test_an_anonymous_client_comes_back_by_the_name_that_a_backend_gave_it():
    """All that were given the same name at once; a backend's denial is told to all together."""
    on = desk()
    number = ask(on, connect("", "g~1", "guest-1"), "g~1").number
    on.consult(connect("", "g~2", "guest-2"), Waiter("g~2", 1, "guest-2"), NOW, NOW_S)
    told = on.answered(number, b'{"allow":true,"user":"kim","ttl":9}', NOW, NOW_S)
    assert [tell.verdict.answer.user for tell in told] == ["kim", "kim"]
    back = connect("kim", "g~3", "kim", grant=told[1].verdict.grant)
    assert verdict(consult(desk(), back)).answer.user == "kim"
    tokens = connect("kim", "g~3", grant=told[1].verdict.grant)
    assert isinstance(consult(desk(), tokens)[0], Ask)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_each_question_is_answered_once(seed):
    """A random walk: whoever asks is told once, unless it has gone; users and backends stay within their
    bounds; and when all is answered nothing is left.
    """
    chance = random.Random(seed)
    on, now, tickets = desk(), NOW, itertools.count(1)
    waiting: set[tuple[str, int]] = set()
    out: dict[int, str] = {}  # ▶ whose it is

    def follow(steps) -> None:
        for step in steps:
            if isinstance(step, Ask):
                assert step.number not in out
                out[step.number] = step.caller
            else:
                for waiter in step.waiters:
                    waiting.remove((waiter.conn, waiter.ticket))

    for _ in range(3_000):
        now += chance.random() * 0.2
        user = f"u{min(chance.randrange(40), 25)}"  # one asks much more than the others
        conn = f"{user}~{chance.randrange(4)}"
        match chance.randrange(12):
            case 0:
                on.gone(conn)
                waiting = {each for each in waiting if each[0] != conn}
            case 1:
                on.revoked(user)
            case 2 | 3 | 4 if out:
                number = chance.choice(list(out))
                del out[number]
                body = chance.choice([ALLOW, ALLOW_60, DENY, b"rubbish"])
                follow(on.answered(number, body, now, NOW_S + now))
                assert on.answered(number, ALLOW, now, NOW_S + now) == []
            case 5 if out:
                number = chance.choice(list(out))
                del out[number]
                retry_ms = chance.choice([0, 0, 0, 500])
                follow(on.failed(number, "timeout", retry_ms, now))
            case _:
                ticket = next(tickets)
                waiting.add((conn, ticket))
                query = (
                    publish(str(ticket), user)
                    if chance.random() < 0.2
                    else join(user, f"r{chance.randrange(30)}")
                )
                follow(on.consult(query, Waiter(conn, ticket), now, NOW_S + now))
        assert on.out == len(out)
        assert all(len(own) <= USER_OPEN_MAX for own in on._by_user.values())
        for queue in on._queues.values():
            assert queue.out <= WINDOW_MOST
    while out:
        now += 0.01
        number = next(iter(out))
        del out[number]
        follow(on.answered(number, ALLOW, now, NOW_S + now))
    assert waiting == set()
    assert len(on) == on.out == 0
    assert not any((on._by_conn, on._by_user, on._by_key, *on._out_bytes.values()))
