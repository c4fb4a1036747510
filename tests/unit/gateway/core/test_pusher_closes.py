"""Close codes of the Pusher protocol: each of Warren's has one whose range says the same."""

import pytest

from gateway.core import pusher_closes
from gateway.core.pusher_closes import PusherClose
from warren.errors import CloseCode


@pytest.mark.parametrize("code", [code for code in CloseCode if code >= 1011])
def test_each_code_says_as_much_about_coming_back(code):
    """Clients of the protocol go by the range: 4000 is to stay away, 4100 to come later, 4200 at once."""
    found = pusher_closes.of(code)
    assert 4000 <= found < 4300
    assert (found < 4100) == (code.reconnect != "yes")


def test_the_known_ones():
    """As they are documented."""
    assert pusher_closes.of(CloseCode.DRAINING) == 4200
    assert pusher_closes.of(CloseCode.OVERLOADED) == 4100
    assert pusher_closes.of(CloseCode.UNAUTHORIZED) == 4009
    assert pusher_closes.of(CloseCode.HEARTBEAT_MISSED) == 4201
    assert pusher_closes.of(CloseCode.NORMAL) == 1000
    assert (PusherClose.NO_APP, PusherClose.OVER_QUOTA) == (4001, 4004)
    assert all(code.reason for code in PusherClose)
