"""RouterContext: references that do not change."""

import dataclasses

import pytest
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus


def test_nobody_changes_what_all_share():
    """A part that needs another clock or bus is built with another context."""
    context = router_context(ScriptedBus())
    with pytest.raises(dataclasses.FrozenInstanceError):
        context.bus = ScriptedBus()  # type: ignore[misc]
