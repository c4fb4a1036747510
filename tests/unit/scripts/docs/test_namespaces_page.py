"""The page about namespaces: every key with what it may be, and recipes that work."""

import json
import re
from functools import partial

import jsonschema
import pytest
import yaml
from scripts.docs import namespaces_page

from gateway.core.permissions import Identity, check_join, check_publish, check_watch
from warren.document_schema import Key, MappingOf, keys_of
from warren.errors import ErrorCode, ProtocolError
from warren.namespaces import Namespaces, PresencePolicy, RoomPolicy, file_schema, schema
from warren.services import ServicePolicy

PAGE = namespaces_page.namespaces_page("<!-- made -->")
FILES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ANN = Identity("ann")


def recipe(title: str) -> Namespaces:
    """Return all files of a recipe, as one."""
    section = PAGE.partition(f"### {title}\n")[2].partition("\n### ")[0]
    files = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert files
    return Namespaces(policy for file in files for policy in Namespaces.parse(file).policies)


def refused(check, *args) -> ErrorCode | None:
    """Return what is refused."""
    try:
        check(*args)
    except ProtocolError as error:
        return error.code
    return None


@pytest.mark.parametrize("file", FILES, ids=lambda file: re.findall("(?:name|pattern): (.*)", file)[0])
def test_each_file_on_the_page_is_read(file: str) -> None:
    """As it stands there, and it fits the schema that is given with it."""
    read = Namespaces.parse(file)
    assert read.policies or read.services.policies
    jsonschema.validate(yaml.safe_load(file), json.loads(namespaces_page.namespaces_schema()))


def test_every_key_has_a_row() -> None:
    """Those of the namespace, and those of each mapping in it, with an example that is read."""
    for each in keys_of(RoomPolicy):
        rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{each.name}` |")]
        assert rows, each.name
        entry = {"name": "a", "pattern": "a", each.name: each.example}
        assert Namespaces.parse([entry]) != Namespaces.parse([{"name": "b", "pattern": "b"}])
        if isinstance(each.rule, MappingOf):
            assert f"### `{each.name}`" in PAGE
            for inner in each.rule.keys.values():
                assert f"| `{inner.name}` | {inner.meaning} |" in PAGE


@pytest.mark.parametrize("each", tuple(keys_of(ServicePolicy)), ids=lambda each: each.name)
def test_every_key_of_a_service_has_a_row(each: Key) -> None:
    """With an example that is read."""
    assert f"| `{each.name}` | {each.meaning} |" in PAGE.partition("## Services")[2]
    entry = {"pattern": "a", each.name: each.example}
    assert Namespaces.parse({"services": [entry]}).services.policies


@pytest.mark.parametrize("row", [line for line in PAGE.splitlines() if line.startswith("| `")])
def test_each_row_is_whole(row: str) -> None:
    """Five cells, and an example in the form that it has in the file."""
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert len(cells) == 5
    assert cells[1].endswith(".")
    yaml.safe_load(cells[4].strip("`"))


def test_the_schema_is_the_one_that_is_checked_with() -> None:
    """With the draft that it is written in."""
    made = json.loads(namespaces_page.namespaces_schema())
    assert made.pop("$schema") == "http://json-schema.org/draft-07/schema#"
    assert made.pop("title")
    assert made == file_schema()
    assert made["properties"]["namespaces"] == schema()


def test_the_page_says_that_it_is_made() -> None:
    """Under its title, so that nobody edits it."""
    assert PAGE.splitlines()[:3] == ["# Namespaces", "", "<!-- made -->"]
    assert PAGE.count("<!--") == 1


def test_a_chat_is_for_its_members() -> None:
    """Who has joined may write, and too fast is refused without a close."""
    namespaces = recipe("A chat")
    assert refused(check_publish, ANN, namespaces, "chat:1", False) is ErrorCode.NOT_JOINED
    policy = check_publish(ANN, namespaces, "chat:1", True)
    assert (policy.include_sender, policy.history.kept) == (True, True)
    assert policy.rate is not None
    assert policy.rate.policy == "reject"


def test_nobody_but_backends_writes_to_a_ticker() -> None:
    """Not even who has joined; a slow reader gets the latest."""
    namespaces = recipe("A ticker")
    assert refused(check_join, ANN, namespaces, "ticker:1") is None
    assert refused(check_publish, ANN, namespaces, "ticker:1", True) is ErrorCode.FORBIDDEN
    assert namespaces.policy("ticker:1").slow == "latest_only"


def test_a_private_room_needs_a_token_that_names_it() -> None:
    """The one on the page opens it, and no other."""
    namespaces, member = recipe("Private rooms"), Identity("ann", join=("team:7",))
    assert refused(check_join, ANN, namespaces, "team:7") is ErrorCode.FORBIDDEN
    assert refused(check_join, member, namespaces, "team:7") is None
    assert refused(check_join, member, namespaces, "team:8") is ErrorCode.FORBIDDEN


def test_presence_is_told_to_members_and_contacts_by_right() -> None:
    """As the page says of both."""
    namespaces, friend = recipe("Presence"), Identity("ann", watch=("@bob",))
    assert namespaces.policy("doc:1").presence == PresencePolicy("users", 200, "members", "profile")
    assert refused(partial(check_watch, joined=True), ANN, namespaces, "doc:1") is None
    assert refused(partial(check_watch, joined=False), ANN, namespaces, "doc:1") is ErrorCode.NOT_JOINED
    contact = partial(check_watch, joined=False, contact=True)
    assert namespaces.policy("@bob").presence.mode == "users"
    assert refused(contact, ANN, namespaces, "@bob") is ErrorCode.FORBIDDEN
    assert refused(contact, friend, namespaces, "@bob") is None


def test_announcements_are_read_by_all_and_written_by_editors() -> None:
    """The token on the page may, another may not."""
    namespaces, editor = recipe("Read-only announcements"), Identity("ed", publish=("news:*",))
    assert refused(check_join, ANN, namespaces, "news:1") is None
    assert refused(check_publish, ANN, namespaces, "news:1", True) is ErrorCode.FORBIDDEN
    assert refused(check_publish, editor, namespaces, "news:1", False) is None
