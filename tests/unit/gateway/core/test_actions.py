"""actions: what a session may ask for."""

import typing

import pytest

from gateway.core import actions
from gateway.core.actions import Exit, Hold


@pytest.mark.parametrize("kind", typing.get_args(actions.Action))
def test_an_action_is_frozen(kind):
    """What was asked for can't change on its way."""
    assert kind.__struct_config__.frozen


def test_actions_are_compared_by_kind_and_content():
    """Two of different kinds are never the same."""
    assert Exit("a") == Exit("a") != Exit("b")
    assert Exit("a") != Hold(1.0)
