"""Apps: read with every problem named and no secret told."""

from pathlib import Path

import jsonschema
import pytest
import yaml
from scripts.docs.namespaces_page import _table

from warren.document_schema import keys_of
from warren.errors import SettingsError
from warren.pusher.apps import App, Apps, Webhook, file_schema

SECRET = "7ad3773142a6692b25b8"
WHOLE = f"""
apps:
  - id: 1001
    key: abc
    secret: [{SECRET}, another-secret-of-30-characters]
    client_events: true
    users: shared
    origins: ["https://shop.example", "*"]
    connections: 10
    channels: 5
    members: 50
    rate: 20
    webhooks:
      - url: https://backend.example/pusher
        events: [channel_occupied]
        prefix: presence-
  - {{id: two, key: def, secret: {SECRET}, enabled: false}}
"""


def test_a_file_is_read():
    """Each key, and the defaults; an id may be a number."""
    apps = Apps.parse(WHOLE)
    first, second = apps.by_id["1001"], apps.by_key["def"]
    assert len(apps) == 2
    assert first == App(
        id="1001", key="abc", secret=(SECRET, "another-secret-of-30-characters"), client_events=True,
        users="shared", origins=("https://shop.example", "*"), connections=10, channels=5, members=50, rate=20,
        webhooks=(Webhook("https://backend.example/pusher", ("channel_occupied",), "presence-"),),
    )  # fmt: skip
    assert (second.enabled, second.client_events, second.rate, second.webhooks) == (False, False, 10, ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "apps: must be a mapping"),
        ("apps: 1", "apps: must be a list"),
        ("app: []", "app: unknown; did you mean apps?"),
        ("apps: [1]", "apps[0]: must be a mapping"),
        ("apps: [{key: a, secret: 0123456789abcdef}]", "apps[0].id: is missing"),
        ("apps: [{id: a, key: a}]", "apps[0].secret: is missing"),
        ("apps: [{id: 'a b', key: a, secret: 0123456789abcdef}]", "apps[0].id: must be 1 to 24"),
        ("apps: [{id: true, key: a, secret: 0123456789abcdef}]", "apps[0].id: must be"),
        ("apps: [{id: a, key: 'a/b', secret: 0123456789abcdef}]", "apps[0].key: must be"),
        ("apps: [{id: a, key: a, secret: 0123456789abcdef, rate: 0}]", "apps[0].rate"),
        ("apps: [{id: a, key: a, secret: 0123456789abcdef, origins: [shop]}]", "apps[0].origins"),
        ("apps: [{id: a, key: a, secret: 0123456789abcdef, webhooks: [{}]}]", "apps[0].webhooks"),
        (
            "apps: [{id: a, key: a, secret: 0123456789abcdef}, {id: a, key: b, secret: 0123456789abcdef}]",
            "apps[1].id: 'a' is apps[0]'s already",
        ),
        ("apps: {", "apps: not YAML"),
    ],
)
def test_what_is_wrong_is_named(text, says):
    """With its place."""
    with pytest.raises(SettingsError) as raised:
        Apps.parse(text)
    assert any(problem.startswith(says) for problem in raised.value.problems), raised.value.problems


@pytest.mark.parametrize(
    "secret",
    ["short-secret", "['0123456789abcdef', short-secret]", "'with blanks short-secret'", "{a: short-secret}"],
)
def test_a_secret_is_never_repeated(secret):
    """Not in a problem, nor where the app is printed."""
    with pytest.raises(SettingsError) as raised:
        Apps.parse(f"apps: [{{id: a, key: b, secret: {secret}}}]")
    assert "short-secret" not in str(raised.value)
    with pytest.raises(SettingsError) as raised:
        Apps.parse(f"apps: [{{id: a, secret: {secret}")
    assert "short-secret" not in str(raised.value)
    assert SECRET not in repr(Apps.parse(WHOLE).by_id)


def test_all_secrets_verify_and_the_first_one_signs():
    """So that one can be replaced without a moment at which nothing holds."""
    app = Apps.parse(WHOLE).by_id["1001"]
    other = App(id="x", key="abc", secret=("another-secret-of-30-characters",))
    assert app.has_signed("text", app.signs("text"))
    assert app.has_granted("text", f"abc:{other.signs('text')}")
    assert not other.has_signed("text", app.signs("text"))
    for auth in ("", "abc", f"abd:{app.signs('text')}", app.signs("text"), f"abc:{app.signs('other')}"):
        assert not app.has_granted("text", auth)
    assert (app.room("a"), app.user("7"), Apps.parse(WHOLE).by_id["two"].user("7")) == (
        "pusher:1001:a", "7", "pusher:two:7",
    )  # fmt: skip


def test_the_schema_takes_what_is_read():
    """And refuses what is not."""
    schema = jsonschema.Draft7Validator(file_schema())
    assert schema.is_valid(yaml.safe_load(WHOLE))
    assert not schema.is_valid({"apps": [{"id": "a", "key": "b"}]})


@pytest.mark.parametrize("kind", [App, Webhook])
def test_the_page_tells_each_key(kind):
    """With what it means, what it may be and its default, as the code has them."""
    page = (Path(__file__).parents[4] / "docs" / "pusher.md").read_text()
    assert "\n".join(_table(keys_of(kind))) in page
