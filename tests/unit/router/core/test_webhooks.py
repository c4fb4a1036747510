"""Webhooks: what is told, when, to whom and how often."""

import json

from hypothesis import given
from hypothesis import strategies as st

from router.core.webhooks import AGAIN_LAST_S, BATCH, HOLD_S, TRIED_S, WAITING, Webhooks
from warren.contract.events import MembershipEvent
from warren.pusher import signatures
from warren.pusher.apps import App, Apps, Webhook
from warren.pusher.gateway_events import GatewayEvent

ROOM = "pusher:shop:presence-a"
HOOK = Webhook(
    "https://a.example/x", ("channel_occupied", "channel_vacated", "member_added", "member_removed")
)
APP = App(id="shop", key="k", secret=("0123456789abcdef", "an-old-secret-12"), webhooks=(HOOK,))
KEY = ("shop", HOOK.url)


class Rig:
    def __init__(self, *apps):
        self.webhooks = Webhooks()
        self.webhooks.use(Apps(apps or (APP,)))
        self.settled = []
        self.now = 100.0
        self._ids = 0

    def told(self, event, *, room=ROOM, user="pusher:shop:7", members=None, connections=None, ident=""):
        self._ids += 1
        ident = ident or f"e{self._ids}"
        edge = 1 if event == "room.joined" else 0
        said = MembershipEvent(
            event_id=ident, event=event, room=room, user=user, at=0,
            members=edge if members is None else members,
            connections=edge if connections is None else connections,
        )  # fmt: skip
        self.webhooks.take(said, lambda: self.settled.append(ident), self.now)
        return ident

    def join(self, **more):
        return self.told("room.joined", **more)

    def leave(self, **more):
        return self.told("room.left", **more)

    def due(self):
        return self.webhooks.due(self.now, 1_700)

    def send(self, taken=True):
        """Send what is due, and take it; return the events."""
        found = []
        for post in self.due():
            found += json.loads(post.body)["events"]
            self.webhooks.posted(post.target, taken, self.now)
        return found


def names(events):
    return [event["name"] for event in events]


def test_what_begins_is_told_at_once_and_signed():
    """In one batch, in order, with the app's key; only then the event is settled."""
    rig = Rig()
    ident = rig.join()
    assert rig.settled == []
    (post,) = rig.due()
    assert json.loads(post.body) == {
        "time_ms": 1_700,
        "events": [
            {"name": "channel_occupied", "channel": "presence-a"},
            {"name": "member_added", "channel": "presence-a", "user_id": "7"},
        ],
    }
    assert (post.url, post.headers["X-Pusher-Key"]) == (HOOK.url, "k")
    assert post.headers["X-Pusher-Signature"] == signatures.sign(APP.secret[0], post.body)
    assert rig.due() == []  # one at a time
    rig.webhooks.posted(post.target, True, rig.now)
    assert rig.settled == [ident]
    assert rig.webhooks.waiting == 0


def test_what_ends_is_told_after_a_while_unless_it_begins_again():
    """Then nothing has happened, and both events are settled."""
    rig = Rig()
    left = rig.leave()
    assert rig.send() == []
    rig.now += HOLD_S - 0.1
    joined = rig.join()
    assert rig.send() == []
    assert rig.settled == [left, joined]
    left = rig.leave()
    rig.now += HOLD_S
    assert names(rig.send()) == ["channel_vacated", "member_removed"]
    assert rig.settled[2:] == [left]


def test_several_events_that_say_the_same_end_are_one():
    """As when a gateway dies with all members; all of them are settled by it."""
    rig = Rig()
    idents = [rig.leave(user=f"pusher:shop:{n}") for n in range(3)]
    rig.now += HOLD_S
    assert sorted(names(rig.send())) == [
        "channel_vacated",
        "member_removed",
        "member_removed",
        "member_removed",
    ]
    assert rig.settled == idents


def test_what_is_no_edge_leads_to_nothing():
    """A second connection, another room, another app, a name that a room does not tell; settled at once."""
    rig = Rig()
    idents = [
        rig.join(members=2, connections=2),
        rig.leave(members=1, connections=1),
        rig.join(room="chat:a"),
        rig.join(room="pusher:other:a"),
        rig.join(room="pusher:shop:presence-x//" + "0" * 43),
    ]
    assert rig.send() == []
    assert rig.settled == idents
    assert names(rig.send()) == []
    rig.join(room="pusher:shop:news", connections=2)
    assert names(rig.send()) == ["channel_occupied"]  # it has no members
    rig.join(members=5, connections=1)
    assert names(rig.send()) == ["member_added"]


def test_an_event_that_comes_twice_counts_once():
    """It is settled both times."""
    rig = Rig()
    rig.join(ident="x")
    rig.send()
    rig.join(ident="x")
    assert (rig.send(), rig.settled) == ([], ["x", "x"])


def test_gateways_tell_client_events_and_misses():
    """To webhooks that want them."""
    hook = Webhook("https://a.example/x", ("client_event", "cache_miss"))
    rig = Rig(App(id="shop", key="k", secret=APP.secret, webhooks=(hook,)))
    settled = rig.settled
    rig.webhooks.take(
        GatewayEvent("1", "client_event", "shop", "presence-a", "client-x", "1", "1.2", "7"),
        lambda: settled.append("1"), 1.0,
    )  # fmt: skip
    rig.webhooks.take(GatewayEvent("2", "cache_miss", "shop", "cache-a"), lambda: settled.append("2"), 1.0)
    rig.webhooks.take(GatewayEvent("3", "cache_miss", "other", "cache-a"), lambda: settled.append("3"), 1.0)
    assert rig.send() == [
        {
            "name": "client_event", "channel": "presence-a", "event": "client-x", "data": "1", "socket_id": "1.2",
            "user_id": "7",
        },
        {"name": "cache_miss", "channel": "cache-a"},
    ]  # fmt: skip
    assert settled == ["3", "1", "2"]


def test_what_is_not_taken_is_sent_again_with_back_off_and_given_up_in_the_end():
    """In order: what comes behind it waits."""
    rig = Rig()
    ident = rig.join()
    rig.send(taken=False)
    assert rig.due() == []
    later = rig.join(room="pusher:shop:news")
    tries, began = 1, rig.now
    while rig.settled == []:
        rig.now += 0.5
        events = rig.send(taken=False)
        if events:
            assert names(events)[0] == "channel_occupied"
            tries += 1
        assert rig.now - began < TRIED_S + 2 * AGAIN_LAST_S
    assert 5 < tries < 40
    assert rig.now - began >= TRIED_S
    assert rig.settled[0] == ident
    assert rig.webhooks.given_up >= 2
    rig.now += AGAIN_LAST_S
    rig.send()
    assert later in rig.settled


def test_a_batch_and_what_waits_are_bounded():
    """The oldest are given up and counted; what is under way is not."""
    rig = Rig()
    for number in range(WAITING + BATCH + 10):
        rig.join(room=f"pusher:shop:c{number}", connections=2)
        if number == BATCH - 1:
            (post,) = rig.due()
    assert len(json.loads(post.body)["events"]) == BATCH
    assert rig.webhooks.given_up == 10
    rig.webhooks.posted(post.target, True, rig.now)
    events = rig.send()
    assert events[0]["channel"] == f"c{BATCH + 10}"
    assert len(rig.settled) == 2 * BATCH + 10


def test_each_webhook_is_told_by_itself():
    """One that is away holds up no other; an event is settled once both have it."""
    other = Webhook("https://b.example/x", ("channel_occupied",), "presence-")
    rig = Rig(App(id="shop", key="k", secret=APP.secret, webhooks=(HOOK, other)))
    ident = rig.join()
    first, second = rig.due()
    assert names(json.loads(second.body)["events"]) == ["channel_occupied"]
    rig.webhooks.posted(second.target, True, rig.now)
    assert rig.settled == []
    rig.webhooks.posted(first.target, True, rig.now)
    assert rig.settled == [ident]


def test_other_apps_count_and_what_nobody_wants_any_more_is_settled():
    """As the file says now."""
    rig = Rig()
    ident = rig.join()
    (post,) = rig.due()
    rig.webhooks.use(Apps())
    assert rig.settled == [ident]
    rig.webhooks.posted(post.target, True, rig.now)
    assert rig.send() == []


def test_what_is_lost_with_the_queue_is_forgotten():
    """The next consumer is given it; a batch that comes back late changes nothing."""
    rig = Rig()
    rig.join(ident="x")
    rig.leave(room="pusher:shop:b")
    (post,) = rig.due()
    rig.webhooks.lost()
    rig.webhooks.posted(post.target, True, rig.now)
    assert (rig.webhooks.waiting, rig.settled) == (0, [])
    rig.join(ident="x")
    assert names(rig.send()) == ["channel_occupied", "member_added"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["join", "leave", "wait", "fail", "take"]), st.integers(0, 2)), max_size=60
    )
)
def test_a_backend_that_is_told_knows_what_is_occupied(steps):
    """Whatever happens in between: each channel alternates, and in the end it is as it was told."""
    rig, members, heard = Rig(), dict.fromkeys(range(3), 0), []
    count = 0
    for kind, number in steps:
        room = f"pusher:shop:c{number}"
        match kind:
            case "join":
                members[number] += 1
                count += 1
                rig.join(room=room, members=members[number], connections=9)
            case "leave" if members[number]:
                members[number] -= 1
                count += 1
                rig.leave(room=room, members=members[number], connections=9)
            case "wait":
                rig.now += HOLD_S / 2
            case "fail":
                rig.send(taken=False)
                rig.now += 5
            case "take":
                heard += rig.send()
    for _ in range(20):
        rig.now += 30
        heard += rig.send()
    for number, there in members.items():
        told = [event["name"] for event in heard if event["channel"] == f"c{number}"]
        assert told == ["channel_occupied", "channel_vacated"] * (len(told) // 2) + ["channel_occupied"] * (
            there > 0
        )
    assert len(rig.settled) == count
