"""The pages of the reference: each message once, with all of its fields."""

import json
import re
from enum import Enum

import pytest
from scripts.docs.contract_pages import KINDS, comments, reference_pages

from warren.contract.catalog import structs
from warren.contract.examples import EXAMPLES
from warren.contract.queries import VERBS
from warren.contract.schemas import components
from warren.errors import CloseCode, ErrorCode


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference_pages("<!-- made -->")


def test_each_page_says_that_it_is_made(pages: dict[str, str]) -> None:
    """Under its title, so that nobody edits it."""
    for text in pages.values():
        assert text.splitlines()[2] == "<!-- made -->"


def test_every_example_is_on_a_page(pages: dict[str, str]) -> None:
    """Each message is shown as somebody may see it, and each block is JSON."""
    shown = [
        json.loads(block)
        for text in pages.values()
        for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    ]
    for struct in structs():
        for example in EXAMPLES[struct]:
            assert example in shown, struct.__name__


def test_every_field_has_a_row(pages: dict[str, str]) -> None:
    """Under the message that has it, and what lies inside under its path."""
    everything = "\n".join(pages.values())
    for struct in structs():
        for field in components()[struct.__name__]["properties"]:
            assert f"`{field}` |" in everything, (struct.__name__, field)
    assert "| `payload.joined[].user` |" in pages["server-frames.md"]


def test_every_code_and_every_verb_is_there(pages: dict[str, str]) -> None:
    """With what it means."""
    for code in ErrorCode:
        assert f"| `{code}` | " in pages["errors.md"]
    for close in CloseCode:
        assert f"| {int(close)} | {close.reason} |" in pages["errors.md"]
    for verb in VERBS:
        assert f"\n## {verb.name}\n" in pages["commands.md"]


def test_every_kind_that_is_named_is_explained(pages: dict[str, str]) -> None:
    """A link to the kinds of values names one of them."""
    named = set(re.findall(r"\[([^\]]+)\]\(README\.md#kinds-of-values\)", "\n".join(pages.values())))
    assert named
    assert named <= set(KINDS)


def test_rows_are_whole(pages: dict[str, str]) -> None:
    """No text breaks its table."""
    for text in pages.values():
        columns = 0
        for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines():
            found = len(re.sub(r"\\\||`[^`]*`", "", line).split("|")) if line.startswith("|") else 0
            assert not columns or not found or found == columns, line
            columns = found


def test_a_member_without_a_comment_is_noticed() -> None:
    """A code that nobody explains is no page's."""

    class Codes(Enum):
        # The first.
        ONE = 1
        TWO = 2

    with pytest.raises(ValueError, match="TWO"):
        comments(Codes)
