"""Namespaces: patterns, policies, and every mistake in a file."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.errors import SettingsError
from warren.namespaces import (
    CACHED_ROOMS,
    DEFAULT_POLICY,
    MAX_NAMESPACES,
    NO_HISTORY,
    NO_PRESENCE,
    HistoryPolicy,
    Namespaces,
    PresencePolicy,
    RateLimit,
    RoomPolicy,
)
from warren.services import MAX_SERVICES, ServicePolicy


def test_the_first_pattern_that_matches_gives_the_policy() -> None:
    """The first namespace whose pattern matches gives the room's policy, and without any the
    default counts.
    """
    first, second = RoomPolicy("first", "chat:*"), RoomPolicy("second", "*:vip")
    namespaces = Namespaces([first, second])
    assert namespaces.policy("chat:vip") is first
    assert namespaces.policy("news:vip") is second
    assert namespaces.policy("news") is DEFAULT_POLICY
    assert namespaces.policy("chat:vip") is first


def test_the_cache_of_rooms_has_a_limit() -> None:
    """However many rooms clients invent, the cache holds no more than its limit."""
    namespaces = Namespaces([RoomPolicy("chat", "chat:*")])
    for number in range(CACHED_ROOMS + 100):
        namespaces.policy(f"chat:{number}")
    assert namespaces.policy.cache_info().currsize == CACHED_ROOMS


def test_by_default_anyone_joins_and_publishes_and_typing_is_ephemeral() -> None:
    """The default policy lets anyone join and publish, keeps the sender out, and treats TYPING as
    ephemeral.
    """
    assert RoomPolicy() == RoomPolicy("default", "*", False, "anyone", "anyone", ("TYPING",), None)


def test_a_file_is_read_in_its_order() -> None:
    """A YAML text becomes policies in the order of the text, with defaults for what it leaves out."""
    namespaces = Namespaces.parse(
        """
        namespaces:
          - name: chat
            pattern: "chat:*"
            include_sender: true
            join: token
            publish: members
            ephemeral_types: [TYPING, cursor.moved]
            rate: {count: 20, per_ms: 2000, policy: reject}
          - {name: rest, pattern: "*"}
        """
    )
    assert namespaces.policies == (
        RoomPolicy(
            "chat",
            "chat:*",
            True,
            "token",
            "members",
            ("TYPING", "cursor.moved"),
            RateLimit(20, 2000, "reject"),
        ),
        RoomPolicy("rest", "*"),
    )


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("{name: a, pattern: a}", HistoryPolicy(100, 300)),
        ("{name: a, pattern: a, history: {count: 7}}", HistoryPolicy(7, 300)),
        ("{name: a, pattern: a, history: {age_s: 60, count: 10000}}", HistoryPolicy(10_000, 60)),
        ("{name: a, pattern: a, history: {count: 0}}", HistoryPolicy(0, 300)),
        ("{name: a, pattern: a, history: off}", NO_HISTORY),
        ('{name: a, pattern: a, history: "off"}', NO_HISTORY),
    ],
)
def test_a_history_has_a_count_and_an_age_or_is_off(written: str, policy: HistoryPolicy) -> None:
    """What is left out has its default; a bare off and one in quotes mean the same."""
    assert Namespaces.parse(f"namespaces: [{written}]").policies[0].history == policy


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (HistoryPolicy(), True),
        (HistoryPolicy(1, 1), True),
        (HistoryPolicy(0, 300), False),
        (HistoryPolicy(9, 0), False),
    ],
)
def test_a_history_of_nothing_is_none(policy: HistoryPolicy, kept: bool) -> None:
    """Where the count or the age is 0 nothing is kept."""
    assert policy.kept is kept


@pytest.mark.parametrize(
    ("history", "problem"),
    [
        (True, "namespaces[0].history: must be off, or a mapping with count, age_s, not bool"),
        ("on", "namespaces[0].history: must be off, or a mapping with count, age_s, not text"),
        (5, "namespaces[0].history: must be off, or a mapping with count, age_s, not int"),
        ({"count": 10_001}, "namespaces[0].history.count: must be a whole number from 0 to 10000, not 10001"),
        ({"age_s": -1}, "namespaces[0].history.age_s: must be a whole number from 0 to 604800, not -1"),
        ({"age": 1}, "namespaces[0].history.age: unknown; did you mean age_s?"),
    ],
)
def test_a_history_that_makes_no_sense_is_named(history: Any, problem: str) -> None:
    """Each problem with its path."""
    with pytest.raises(SettingsError) as caught:
        Namespaces.parse([{"name": "a", "pattern": "a", "history": history}])
    assert caught.value.problems == [problem]


@pytest.mark.parametrize(
    ("presence", "policy"),
    [
        ("off", NO_PRESENCE),
        ('"off"', NO_PRESENCE),
        ("{mode: off}", NO_PRESENCE),
        ("count", PresencePolicy("count", 5_000, "members", "")),
        ("connections", PresencePolicy("connections")),
        ("users", PresencePolicy("users")),
        (
            "{mode: users, max: 100000, watch: token, info_claim: profile.public}",
            PresencePolicy("users", 100_000, "token", "profile.public"),
        ),
    ],
)
def test_presence_is_a_mode_or_a_mode_with_bounds_and_rights(presence: str, policy: PresencePolicy) -> None:
    """A mode alone has the defaults of the rest; a room that says nothing of it has no presence."""
    written = f"[{{name: a, pattern: a, presence: {presence}}}, {{name: b, pattern: b}}]"
    assert [policy.presence for policy in Namespaces.parse(written).policies] == [policy, NO_PRESENCE]


PRESENCE = "one of off, count, connections, users, or a mapping with mode, max, watch, info_claim"


@pytest.mark.parametrize(
    ("presence", "problem"),
    [
        (True, f"namespaces[0].presence: must be {PRESENCE}, not True"),
        (None, f"namespaces[0].presence: must be {PRESENCE}, not None"),
        ("user", f"namespaces[0].presence: must be {PRESENCE}, not 'user'"),
        ({"max": 5}, "namespaces[0].presence.mode: is missing"),
        (
            {"mode": "users", "max": 100_001},
            "namespaces[0].presence.max: must be a whole number from 1 to 100000, not 100001",
        ),
        (
            {"mode": "users", "watch": "all"},
            "namespaces[0].presence.watch: must be one of anyone, members, token, not 'all'",
        ),
        (
            {"mode": "users", "info_claim": "a b"},
            "namespaces[0].presence.info_claim: must be the name of a claim, not 'a b'",
        ),
        ({"mode": "users", "maxx": 1}, "namespaces[0].presence.maxx: unknown; did you mean max?"),
    ],
)
def test_a_presence_that_makes_no_sense_is_named(presence: Any, problem: str) -> None:
    """Each problem with its path."""
    with pytest.raises(SettingsError) as caught:
        Namespaces.parse([{"name": "a", "pattern": "a", "presence": presence}])
    assert caught.value.problems == [problem]


@pytest.mark.parametrize("empty", ["", "namespaces:", "[]", None, [], {"namespaces": []}])
def test_an_empty_file_has_no_namespaces(empty: Any) -> None:
    """An empty text or list means no namespaces."""
    assert Namespaces.parse(empty) == Namespaces()


def test_every_problem_is_named_with_its_path() -> None:
    """A file with many mistakes is refused with all of them, each with the path of its place."""
    with pytest.raises(SettingsError) as caught:
        Namespaces.parse(
            {
                "namespace": 1,
                "namespaces": [
                    {"name": "a", "pattern": "a:*"},
                    {
                        "name": "Big",
                        "pattern": "sp ace",
                        "join": "all",
                        "publish": 3,
                        "include_sender": "yes",
                    },
                    {"pattern": "x", "rate": {"count": 0, "per_ms": True, "policy": "ban", "burst": 1}},
                    {"name": "a", "pattern": "a:*", "ephemeral_types": "TYPING", "rates": {}},
                    7,
                    {"name": "r", "pattern": "r", "rate": 5},
                ],
            }
        )
    assert caught.value.problems == [
        "namespace: unknown; did you mean namespaces?",
        "namespaces[1].name: must be 1 to 64 of a-z 0-9 _ -, not 'Big'",
        "namespaces[1].pattern: must be 1 to 128 characters of a room name or *, not 'sp ace'",
        "namespaces[1].include_sender: must be true or false, not 'yes'",
        "namespaces[1].join: must be one of anyone, token, not 'all'",
        "namespaces[1].publish: must be one of anyone, members, token, not 3",
        "namespaces[2].name: is missing",
        "namespaces[2].rate.burst: unknown; known are count, per_ms, policy",
        "namespaces[2].rate.count: must be a whole number from 1 to 1000000, not 0",
        "namespaces[2].rate.per_ms: must be a whole number from 1 to 86400000, not True",
        "namespaces[2].rate.policy: must be one of close, reject, not 'ban'",
        "namespaces[3].rates: unknown; did you mean rate?",
        "namespaces[3].ephemeral_types: must be a list of message types, not 'TYPING'",
        f"namespaces[4]: must be a mapping with {', '.join(RoomPolicy.__dataclass_fields__)}, not int",
        "namespaces[5].rate: must be a mapping with count, per_ms, policy, not int",
        "namespaces[3].name: 'a' is namespaces[0]'s already",
        "namespaces[3].pattern: 'a:*' is namespaces[0]'s already",
    ]


@pytest.mark.parametrize(
    "text", ["{", "a: b: c", "- !!python/object:os.system x", "2024-13-45", "just text", "\x00"]
)
def test_what_is_no_list_of_namespaces_is_a_settings_error(text: str) -> None:
    """Text that is not YAML, or not a list of namespaces, is one problem that says so."""
    with pytest.raises(SettingsError, match=r"^namespaces: "):
        Namespaces.parse(text)


def test_too_many_namespaces_are_refused() -> None:
    """More namespaces than the limit are refused, since each room's first message looks through
    all of them.
    """
    with pytest.raises(SettingsError, match=f"at most {MAX_NAMESPACES}"):
        Namespaces.parse(
            [{"name": f"n{number}", "pattern": f"{number}"} for number in range(MAX_NAMESPACES + 1)]
        )


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["namespaces", "services", "name", "pattern", "rate", "history", "count", "join", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_like)
def test_nothing_but_a_settings_error_comes_of_any_document(document: Any) -> None:
    """Whatever a document holds, parsing it gives Namespaces or a SettingsError."""
    try:
        namespaces = Namespaces.parse(document)
    except SettingsError as error:
        problems = error.problems
    else:
        problems = ["none"]
        assert all(policy.name and policy.pattern for policy in namespaces.policies)
    assert all(problems)
    assert problems


def test_what_happens_to_a_slow_reader_is_one_of_three() -> None:
    """``slow`` is disconnect unless it says otherwise; anything else is refused with the choices."""
    namespaces = Namespaces.parse(
        "[{name: a, pattern: 'a:*', slow: latest_only}, {name: b, pattern: 'b:*', slow: drop_oldest}]"
    )
    assert [namespaces.policy(room).slow for room in ("a:1", "b:1", "c")] == [
        "latest_only",
        "drop_oldest",
        "disconnect",
    ]
    with pytest.raises(SettingsError) as caught:
        Namespaces.parse("[{name: a, pattern: 'a:*', slow: never}]")
    assert caught.value.problems == [
        "namespaces[0].slow: must be one of disconnect, drop_oldest, latest_only, not 'never'"
    ]


def test_services_stand_beside_the_namespaces() -> None:
    """In their order, with defaults for what is left out; a list alone has none."""
    namespaces = Namespaces.parse(
        """
        services:
          - {pattern: "orders.*", call: token, timeout_ms: 250}
          - pattern: "*"
        namespaces: [{name: chat, pattern: "chat:*"}]
        """
    )
    assert namespaces.services.policies == (
        ServicePolicy("orders.*", "token", 250),
        ServicePolicy("*", "anyone", 5_000),
    )
    assert [policy.name for policy in namespaces.policies] == ["chat"]
    assert Namespaces.parse("[{name: chat, pattern: a}]").services.policies == ()
    assert namespaces != Namespaces(namespaces.policies)
    assert namespaces == Namespaces(namespaces.policies, namespaces.services.policies)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("a", "services: must be a list, not text"),
        ("[a]", "services[0]: must be a mapping with pattern, call, timeout_ms, not text"),
        ("[{}]", "services[0].pattern: is missing"),
        ("[{pattern: 'a b'}]", "services[0].pattern: must be 1 to 128 characters of a service's name or *"),
        ("[{pattern: a, call: members}]", "services[0].call: must be one of anyone, token"),
        ("[{pattern: a, timeout_ms: 0}]", "services[0].timeout_ms: must be a whole number from 1 to 60000"),
        ("[{pattern: a, timeout_ms: 60001}]", "services[0].timeout_ms: must be a whole number from 1 to"),
        ("[{pattern: a, timout_ms: 5}]", "services[0].timout_ms: unknown; did you mean timeout_ms?"),
        ("[{pattern: a}, {pattern: a}]", "services[1].pattern: 'a' is services[0]'s already"),
        (str([{"pattern": str(n)} for n in range(MAX_SERVICES + 1)]), "services: at most 256, not 257"),
    ],
)
def test_what_is_wrong_with_a_service_is_named(written: str, problem: str) -> None:
    """With its path, as for a namespace."""
    with pytest.raises(SettingsError) as wrong:
        Namespaces.parse(f"services: {written}")
    assert wrong.value.problems[0].startswith(problem)


def test_hooks_say_what_a_backend_decides() -> None:
    """``connect`` for the whole installation, ``join`` and ``publish`` for a namespace; none unless asked for."""
    read = Namespaces.parse(
        """
        hooks: [connect]
        namespaces:
          - {name: a, pattern: "a:*", hooks: [join, publish]}
          - {name: b, pattern: "b:*"}
        """
    )
    assert read.connect_hook
    assert (read.policy("a:1").hooks, read.policy("b:1").hooks) == (("join", "publish"), ())
    assert not Namespaces.parse("namespaces: []").connect_hook
    assert Namespaces.parse("hooks: [connect]") != Namespaces.parse("hooks: []")
    assert Namespaces([], connect_hook=True) == Namespaces.parse("hooks: [connect]")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"hooks": ["join"]}, "hooks: must be a list of `connect`, not ['join']"),
        ({"hooks": "connect"}, "hooks: must be a list of `connect`, not 'connect'"),
        ({"hooks": [["connect"]]}, "hooks: must be a list of `connect`, not [['connect']]"),
        (
            [{"name": "a", "pattern": "a", "hooks": ["connect"]}],
            "namespaces[0].hooks: must be a list of `join`, `publish`, not ['connect']",
        ),
        (
            [{"name": "a", "pattern": "a", "hooks": True}],
            "namespaces[0].hooks: must be a list of `join`, `publish`, not True",
        ),
    ],
)
def test_a_hook_that_there_is_not_is_named(document: Any, problem: str) -> None:
    """A backend that is never asked would let everybody in."""
    with pytest.raises(SettingsError) as caught:
        Namespaces.parse(document)
    assert caught.value.problems == [problem]


def test_schemas_are_checked_where_the_namespace_says_so() -> None:
    """Elsewhere they are only for documents."""
    deal = {"type": "object", "required": ["price"]}
    found = Namespaces.parse(
        [
            {"name": "trades", "pattern": "trades:*", "check": True, "schemas": {"deal.done": deal}},
            {"name": "loose", "pattern": "loose:*", "schemas": {"deal.done": {**deal, "allOf": []}}},
        ]
    )
    assert (
        found.policy("trades:a").problem("deal.done", b"{}", False) == "Object missing required field `price`"
    )
    assert found.policy("trades:a").problem("deal.done", b'{"price":1}', False) is None
    assert found.policy("trades:a").problem("CHAT", b"{}", False) is None
    assert found.policy("loose:a").problem("deal.done", b"{}", False) is None


def test_a_schema_may_stand_in_a_file() -> None:
    """Whoever reads files is handed in; a schema that can't be checked is named with its place."""
    entry = {"name": "a", "pattern": "*", "check": True, "schemas": {"x": "/x.json"}}
    found = Namespaces.parse([entry], {"/x.json": '{"type": "string"}'}.__getitem__)
    assert found.policy("r").problem("x", b"1", False) == "Expected `str`, got `int`"
    with pytest.raises(SettingsError) as caught:
        Namespaces.parse([entry], lambda path: '{"not": {}}')
    assert caught.value.problems == ["namespaces[0].schemas.x: not needs a type beside it"]
    with pytest.raises(SettingsError) as caught:
        Namespaces.parse([entry])
    assert caught.value.problems == ["namespaces[0].schemas.x: /x.json: files can't be read here"]


def test_only_rules_for_pusher_channels_count_for_them():
    """A rule for all rooms opens no channel: without one of their own it takes a token that names the room."""
    own = {"name": "mine", "pattern": "pusher:shop:news", "join": "anyone"}
    everything = {"name": "all", "pattern": "*", "join": "anyone", "presence": "off"}
    namespaces = Namespaces.parse([everything, own])
    assert namespaces.policy("chat:a").name == "all"
    assert namespaces.policy("pusher:shop:news").name == "mine"
    private = namespaces.policy("pusher:shop:private-a")
    assert (private.name, private.join, private.publish, private.presence.mode) == (
        "pusher",
        "token",
        "token",
        "off",
    )
    presence = namespaces.policy("pusher:shop:presence-a")
    assert (presence.join, presence.presence.mode, presence.presence.watch) == ("token", "users", "token")
    assert namespaces.policy("pusher:shop:private-cache-a").history.age_s == 1_800
    assert Namespaces().policy("pusher:").join == "token"
