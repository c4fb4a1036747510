"""Variables: how they are named and shown, one at a time (whole services: ``test_settings.py``)."""

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from warren.env import CommaList, Settings, groups, leaves, printable, shown, variable


class Small(Settings):
    model_config = SettingsConfigDict(env_prefix="WARREN_ROUTER_")

    count: int = variable(3, "How many.", ge=1)
    key: SecretStr = variable(SecretStr(""), "Secret.")
    names: CommaList = variable(("a", "b"), "Some.")


class Large(Settings):
    small: Small = Small(count=7)


def test_the_variables_of_a_class_are_named_by_its_prefix_and_fields() -> None:
    """Groups are opened, and a default given to a group goes before its class's own."""
    found = {leaf.name: leaf for leaf in leaves(Large)}
    assert list(found) == ["WARREN_ROUTER_COUNT", "WARREN_ROUTER_KEY", "WARREN_ROUTER_NAMES"]
    assert found["WARREN_ROUTER_COUNT"].default == 7
    assert (
        [leaf.secret for leaf in found.values()]
        == [leaf.file for leaf in found.values()]
        == [False, True, False]
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (("a", "b"), "a,b"),
        ((), "-"),
        (None, ""),
        (1.5, "1.5"),
        (SecretStr("x"), "***"),
        (SecretStr(""), ""),
    ],
)
def test_a_value_is_shown_as_it_would_be_written(value: object, text: str) -> None:
    """And a secret is not."""
    assert shown(value) == text


@pytest.mark.parametrize(
    ("text", "shown_as"),
    [
        ("many", "many"),
        ("x" * 61, "(61 characters)"),
        ("a\nb", "(3 characters)"),
        ("amqp://u:sesame@h", "***"),
        ("sesame@h", "***"),
        ("-----BEGIN PRIVATE KEY-----", "***"),
    ],
)
def test_what_may_hold_credentials_is_not_printable(text: str, shown_as: str) -> None:
    """And what is long is shown by its length."""
    assert printable(text, 60) == shown_as


def test_groups_are_found_in_each_other() -> None:
    """The whole first."""
    whole = Large()
    assert list(groups(whole)) == [whole, whole.small]
