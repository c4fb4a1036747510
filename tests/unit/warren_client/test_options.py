"""Options check themselves."""

from typing import Any

import pytest

from warren_client.errors import InvalidError
from warren_client.options import Options


def test_the_defaults_are_fine() -> None:
    """And frozen."""
    with pytest.raises(AttributeError):
        Options().backoff = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "option",
    [
        {"backoff": 0},
        {"pong_timeout": -1},
        {"outbox_limit": 0},
        {"queue_limit": 0},
        {"max_tries": -1},
        {"token_in": "cookie"},
        {"overflow": "lose"},
    ],
    ids=str,
)
def test_what_can_not_be_meant_is_refused_by_name(option: dict[str, Any]) -> None:
    """The error says which option, and the rule."""
    with pytest.raises(InvalidError, match=f"{next(iter(option))}: must"):
        Options(**option)
