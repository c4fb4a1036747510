"""API keys: what the file says, and what a scope covers."""

import msgspec
import pytest

from router.core.api_keys import MAX_KEYS, ApiKey, ApiKeys, KeyRate, Scope, hash_of
from warren.errors import SettingsError

VERBS = {"publish", "broadcast", "presence", "disconnect"}
HASH = hash_of(b"secret")

FILE = f"""
keys:
  - name: shop
    sha256: "{HASH}"
    scopes: ["publish:chat:*", "presence:*", disconnect]
    rate: {{count: 100, per_ms: 1000}}
    expires: 2027-01-31T00:00:00Z
  - name: ops
    sha256: ["{hash_of(b"old")}", "{hash_of(b"new")}"]
    scopes: ["*"]
"""


def problems(text):
    with pytest.raises(SettingsError) as error:
        ApiKeys.parse(text, VERBS)
    return error.value.problems


def test_a_file_says_who_may_do_what():
    """Two hashes let two keys stand for one name while it is replaced."""
    keys = ApiKeys.parse(FILE, VERBS)
    assert keys.keys[0] == ApiKey(
        "shop",
        (HASH,),
        (Scope("publish", "chat:*"), Scope("presence", "*"), Scope("disconnect", "*")),
        KeyRate(100, 1_000),
        1_801_353_600_000_000,
    )
    assert keys.find(b"secret") is keys.keys[0]
    assert keys.find(b"old") is keys.find(b"new") is keys.keys[1]
    assert keys.find(b"") is keys.find(b"Secret") is keys.find(b"x" * 10_000) is None


def test_a_scope_covers_its_verb_on_the_rooms_of_its_pattern():
    """A star as verb is every verb."""
    scope = Scope("publish", "chat:*")
    assert scope.covers("publish", "chat:a")
    assert not scope.covers("publish", "@ann")
    assert not scope.covers("presence", "chat:a")
    assert Scope("*").covers("disconnect", "@ann")
    assert Scope("*", "@*").covers("disconnect", "@ann")


def test_a_scope_covers_a_prefix_where_it_covers_all_rooms_that_begin_so():
    """Else a list of rooms would tell more than the key may know."""
    assert Scope("rooms", "chat:*").covers_prefix("rooms", "chat:a")
    assert Scope("rooms").covers_prefix("rooms", "")
    assert not Scope("rooms", "chat:*").covers_prefix("rooms", "chat")
    assert not Scope("rooms", "chat:a").covers_prefix("rooms", "chat:a")
    assert not Scope("rooms", "chat:*:x").covers_prefix("rooms", "chat:a")


def test_a_key_expires():
    """From that moment on."""
    key = ApiKey("a", (), (), None, 1_000)
    assert [key.expired(now) for now in (999, 1_000)] == [False, True]
    assert not ApiKey("a", (), ()).expired(1 << 62)


def test_every_problem_of_a_file_is_told_at_once():
    """Each with its path."""
    text = f"""
keys:
  - name: "a b"
    sha256: abc
    scopes: [dance, "publish:ö", 5]
    rate: {{count: 0}}
    expires: soon
    nmae: x
  - 5
  - {{name: b, sha256: "{HASH}", scopes: []}}
"""
    found = problems(text)
    assert [problem.partition(":")[0] for problem in found] == [
        "keys[0]", "keys[0].name", "keys[0].sha256", "keys[0].scopes[0]", "keys[0].scopes[1]",
        "keys[0].scopes[2]", "keys[0].rate", "keys[0].expires", "keys[1]", "keys[2].scopes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "keys", "5", "keys: 5", "- x", "{", "keys: &a [*a]", "keys: !!python/none"]
)
def test_what_is_no_list_of_keys_is_told_so(text):
    """And reading it raises nothing else."""
    assert problems(text)


def test_no_problem_shows_what_stands_in_the_file():
    """Somebody may have put the key itself where its hash belongs."""
    found = problems('keys: [{name: shop, sha256: hunter2-hunter2, scopes: ["hunter3:x"], expires: hunter4}]')
    assert "hunter" not in " ".join(found)
    assert "hunter" not in " ".join(problems("keys: [hunter2: {"))


def test_names_and_hashes_are_unique_and_keys_are_few():
    """One key must not be two callers'."""
    twice = f'[{{name: a, sha256: "{HASH}", scopes: ["*"]}}, {{name: a, sha256: "{HASH}", scopes: ["*"]}}]'
    assert problems(f"keys: {twice}") == [
        "keys: two of them have the same name",
        "keys: two of them have the same sha256",
    ]
    assert problems(f"keys: [{'x, ' * (MAX_KEYS + 1)}]") == [f"keys: at most {MAX_KEYS}"]


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        ("2027-01-31", 1_801_353_600_000_000),
        ("2027-01-31 00:00:00", 1_801_353_600_000_000),
        ('"2027-01-31T01:00:00+01:00"', 1_801_353_600_000_000),
    ],
)
def test_a_date_is_read_as_yaml_has_it(text, at_us):
    """Without a zone it is UTC."""
    keys = ApiKeys.parse(f'keys: [{{name: a, sha256: "{HASH}", scopes: ["*"], expires: {text}}}]', VERBS)
    assert keys.keys[0].expires_us == at_us


def test_whose_key_it_is_may_know_what_it_may_do_and_not_its_hash():
    """So that a page offers nothing else."""
    key = ApiKey("shop", ("9f" * 32,), (Scope("publish", "chat:*"), Scope("count")), None, 5_000)
    assert msgspec.json.decode(msgspec.json.encode(key.rights())) == {
        "name": "shop",
        "scopes": [{"verb": "publish", "pattern": "chat:*"}, {"verb": "count", "pattern": "*"}],
        "expires": 5,
    }
    assert "expires" not in msgspec.json.decode(msgspec.json.encode(ApiKey("a", (), ()).rights()))
