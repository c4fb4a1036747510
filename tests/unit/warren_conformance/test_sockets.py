"""What a client asks for in its upgrade."""

from __future__ import annotations

import pytest

from warren_conformance.sockets import Asked


@pytest.mark.parametrize(
    ("asked", "token"),
    [
        (Asked("/ws?token=t%2B1"), "t+1"),
        (Asked("/ws", authorization="Bearer t1"), "t1"),
        (Asked("/ws", ("warren.v1", "bearer.t1.x")), "t1.x"),
        (Asked("/ws?token=q", ("bearer.s",), authorization="Bearer h"), "q"),
        (Asked("/ws", authorization="Basic t1"), None),
        (Asked("/ws", ("warren.v1",)), None),
    ],
)
def test_a_token_is_found_wherever_the_protocol_allows_it(asked: Asked, token: str | None) -> None:
    """In the order of the protocol."""
    assert asked.shown("token") == token


def test_a_grant_is_in_the_query_or_a_subprotocol_and_in_no_header() -> None:
    """The header is the token's."""
    assert Asked("/ws?grant=g1").shown("grant") == "g1"
    assert Asked("/ws", ("grant.g1",)).shown("grant") == "g1"
    assert Asked("/ws", authorization="Bearer t").shown("grant") is None
    assert Asked("/ws?join=manual&join=x").query == {"join": "x"}
