"""commands: what is inside JOIN and AUTH."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.client_messages import ClientMessage
from gateway.core.control_payloads import connect_grant_of, grant_of, since_of, token_of
from warren.contract.client_frames import GRANT_MAX
from warren.contract.fields import SEQ_MAX
from warren.errors import ErrorCode, ProtocolError
from warren.position import Position


@pytest.mark.parametrize("payload", [b"null", b"{}", b'{"since":null}', b'{"other":1}'])
def test_a_join_may_give_no_position(payload):
    """Then it begins where the room is."""
    assert since_of(ClientMessage("JOIN", payload=payload)) is None


def test_a_join_gives_the_position_to_go_on_from():
    """Epoch and seq."""
    payload = b'{"since":{"epoch":"19ab-1","seq":%d}}' % SEQ_MAX
    assert since_of(ClientMessage("JOIN", payload=payload)) == Position("19ab-1", SEQ_MAX)


@pytest.mark.parametrize(
    "payload",
    [
        b"5",
        b'"x"',
        b"[]",
        b'{"since":5}',
        b'{"since":{}}',
        b'{"since":{"epoch":"e"}}',
        b'{"since":{"epoch":"e","seq":-1}}',
        b'{"since":{"epoch":"e","seq":1.5}}',
        b'{"since":{"epoch":"e","seq":"1"}}',
        b'{"since":{"epoch":"e","seq":9223372036854775808}}',
        b'{"since":{"epoch":"","seq":1}}',
        b'{"since":{"epoch":"UP","seq":1}}',
        b'{"since":{"epoch":5,"seq":1}}',
    ],
)
def test_a_position_that_can_be_none_of_ours_is_refused(payload):
    """So that no envelope ever carries one."""
    with pytest.raises(ProtocolError) as caught:
        since_of(ClientMessage("JOIN", payload=payload))
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


def test_a_token_is_taken_out():
    """As it is."""
    assert token_of(ClientMessage("AUTH", payload=b'{"token":"a.b.c"}')) == "a.b.c"


def test_an_auth_may_show_a_grant():
    """Beside its token."""
    shown = ClientMessage("AUTH", payload=b'{"token":"a.b.c","grant":"g.m"}')
    assert (token_of(shown), connect_grant_of(shown)) == ("a.b.c", "g.m")
    for none in (b'{"token":"a"}', b'{"token":"a","grant":null}'):
        assert connect_grant_of(ClientMessage("AUTH", payload=none)) == ""
    long = b'{"token":"a","grant":"%s"}' % (b"x" * 5_000)
    with pytest.raises(ProtocolError, match="16384 and 4096 characters"):
        connect_grant_of(ClientMessage("AUTH", payload=long))


@pytest.mark.parametrize(
    "payload",
    [b"null", b"{}", b'{"token":""}', b'{"token":5}', b'"secret"', b'{"token":"' + b"secret" * 5_000 + b'"}'],
)
def test_an_auth_without_a_token_is_refused_without_repeating_it(payload):
    """No error text holds what was sent."""
    with pytest.raises(ProtocolError) as caught:
        token_of(ClientMessage("AUTH", payload=payload))
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert "secret" not in caught.value.message


@given(st.binary(), st.booleans())
def test_no_payload_raises_anything_but_the_protocols_own_error(payload, binary):
    """Neither of JOIN nor of AUTH."""
    for read in (since_of, token_of):
        try:
            read(ClientMessage("JOIN", payload=payload, binary=binary))
        except ProtocolError:
            continue


def test_a_join_may_show_a_grant():
    """Beside a position, or alone."""
    both = b'{"since":{"epoch":"e","seq":1},"grant":"abc"}'
    assert grant_of(ClientMessage("JOIN", payload=both)) == "abc"
    for payload in (b"null", b"{}", b'{"grant":null}', b'{"since":{"epoch":"e","seq":1}}'):
        assert grant_of(ClientMessage("JOIN", payload=payload)) == ""


@pytest.mark.parametrize("payload", [b'{"grant":7}', b'{"grant":"' + b"x" * (GRANT_MAX + 1) + b'"}', b"[]"])
def test_a_grant_that_can_be_none_is_refused(payload):
    """With the position, so that nothing of the JOIN is done."""
    for read in (grant_of, since_of):
        with pytest.raises(ProtocolError) as caught:
            read(ClientMessage("JOIN", payload=payload))
        assert caught.value.code is ErrorCode.INVALID_MESSAGE
