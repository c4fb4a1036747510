"""The types of TypeScript, as far as one sees without a compiler (scripts/test/typescript has one)."""

import re

import pytest
from scripts.docs.typescript_types import WIDTH, typescript_types

from warren.contract.catalog import structs


@pytest.fixture(scope="module")
def text() -> str:
    return typescript_types()


def test_every_message_has_a_type(text: str) -> None:
    """Each struct of the contract is one interface."""
    interfaces = re.findall(r"^export interface (\w+)", text, re.MULTILINE)
    assert len(interfaces) == len(set(interfaces))
    for struct in structs():
        name = struct.__name__
        assert {name, f"{name}Command", f"{name}Of"} & set(interfaces), name


def test_what_may_be_missing_is_optional_and_what_warren_writes_is_never_null(text: str) -> None:
    """A client's frame may have null for what is left out; a server's has none but where null says something."""
    assert "  room?: string | null;" in text.partition("export interface JoinFrame")[2].partition("}")[0]
    error = text.partition("export interface ErrorPayload")[2].partition("\n}")[0]
    assert "  retry_after_ms?: number;" in error
    assert '  reconnect?: "yes" | "no" | "fresh token";' in error or "reconnect?:" in error
    assert "  expires_at: number | null;" in text


def test_names_that_are_no_identifiers_are_quoted(text: str) -> None:
    """A header keeps its name."""
    assert '  "x-warren-reason": string;' in text


def test_comments_are_short(text: str) -> None:
    """Each line of a comment fits."""
    assert [line for line in text.splitlines() if line.lstrip().startswith("*") and len(line) > WIDTH] == []
