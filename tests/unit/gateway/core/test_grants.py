"""grants: what a backend has allowed, signed, for one user and one room."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.grants import SKEW_S, ConnectGrant, Grant, GrantKeys, Holder, is_void
from gateway.core.hook_messages import INFO_BYTES
from warren.contract.client_frames import CONNECT_GRANT_MAX, GRANT_MAX

KEY, OLDER = b"k" * 32, b"o" * 32
KEYS = GrantKeys([KEY])
GRANT = Grant(epoch=1_000, until=2_000, publish=True, info=b'{"name":"Ann"}')
TEXT = KEYS.sign(GRANT, "ann", "chat:a")


def test_a_grant_comes_back_as_it_was_given():
    """With its rights, its times and what others see, until its time is over."""
    assert KEYS.check(TEXT, "ann", "chat:a", 1_999.9) == GRANT
    assert KEYS.check(TEXT, "ann", "chat:a", 2_000.0) is None


@pytest.mark.parametrize(
    ("user", "room"), [("bob", "chat:a"), ("ann", "chat:b"), ("annc", "hat:a"), ("", "")]
)
def test_a_grant_is_of_one_user_and_one_room(user, room):
    """Whoever shows it, and wherever."""
    assert KEYS.check(TEXT, user, room, 1_500) is None


def test_the_first_key_signs_and_all_verify():
    """So a key can be added everywhere, put first everywhere, and the old one removed at last, and no grant
    is refused meanwhile.
    """
    both, old_first = GrantKeys([KEY, OLDER]), GrantKeys([OLDER, KEY])
    assert both.check(old_first.sign(GRANT, "ann", "r"), "ann", "r", 1_500) == GRANT
    assert old_first.check(both.sign(GRANT, "ann", "r"), "ann", "r", 1_500) == GRANT
    assert both.sign(GRANT, "ann", "r") == KEYS.sign(GRANT, "ann", "r")
    assert KEYS.check(GrantKeys([OLDER]).sign(GRANT, "ann", "r"), "ann", "r", 1_500) is None


def test_without_a_key_there_are_no_grants():
    """None is made and none is taken, not even one that is signed by an empty key."""
    nobody = GrantKeys()
    assert not nobody
    assert nobody.sign(GRANT, "ann", "r") == ""
    assert nobody.check(GrantKeys([b""]).sign(GRANT, "ann", "r"), "ann", "r", 1_500) is None


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_a_grant_that_was_changed_is_none(index, other):
    """Whichever character it is, also the last one, whose last bits stand for nothing."""
    changed = TEXT[:index] + other + TEXT[index + 1 :]
    assert (KEYS.check(changed, "ann", "chat:a", 1_500) is not None) == (changed == TEXT)


@given(st.text(max_size=200))
def test_anything_may_be_shown(text):
    """What is no grant is none, and nothing is raised."""
    assert KEYS.check(text, "ann", "chat:a", 1_500) is None


@pytest.mark.parametrize("text", ["", ".", "..", TEXT + "=", TEXT + ".", "A" * (GRANT_MAX + 1), "é.é"])
def test_what_only_looks_like_a_grant_is_none(text):
    """Nothing is decoded of what is too long."""
    assert KEYS.check(text, "ann", "chat:a", 1_500) is None


def test_a_grant_of_another_form_is_none():
    """One that a newer Warren has signed is asked about again."""
    import hashlib
    import hmac

    import msgspec

    body = msgspec.msgpack.encode({"what": "is this"})
    signed = msgspec.msgpack.encode(("warren.grant.1", "ann", "r", body))
    parts = (body, hmac.digest(KEY, signed, hashlib.sha256))
    text = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    assert KEYS.check(text, "ann", "r", 0) is None


def test_the_longest_grant_can_be_shown():
    """With the longest names and all that others may see."""
    grant = Grant(2**40, 2**40, True, b"x" * INFO_BYTES)
    text = KEYS.sign(grant, "u" * 127, "r" * 128)
    assert KEYS.check(text, "u" * 127, "r" * 128, 0) == grant


def test_a_revocation_voids_what_was_given_before_it():
    """And what may have been, as clocks differ; nothing where there was none."""
    assert is_void(GRANT.epoch, 1_001)
    assert is_void(GRANT.epoch, GRANT.epoch - SKEW_S + 1)
    assert not is_void(GRANT.epoch, GRANT.epoch - SKEW_S)
    assert not is_void(0, 0)


# ── to connect ──────────────────────────────────────────────────────────────────────────────────────────────

CONNECT = ConnectGrant(1_000, 2_000, "kim", ("vip:a", "vip:b"), b'{"name":"Kim"}')
HOLDER = Holder("ann", False, b"seen")
CONNECTS = KEYS.sign_connect(CONNECT, HOLDER)


def test_a_grant_to_connect_comes_back_as_it_was_given():
    """With the name, the rooms and what others see, until its time is over."""
    assert KEYS.check_connect(CONNECTS, HOLDER, 1_999.9) == CONNECT
    assert KEYS.check_connect(CONNECTS, HOLDER, 2_000.0) is None


@pytest.mark.parametrize(
    "other",
    [
        Holder("bob", False, b"seen"),
        Holder("kim", False, b"seen"),
        Holder("ann", True, b"seen"),
        Holder("ann", False, b""),
    ],
)
def test_a_grant_to_connect_is_of_one_holder(other):
    """Neither of another user's token, nor of who only says that name, nor of one who shows other claims or
    headers.
    """
    assert KEYS.check_connect(CONNECTS, other, 1_500) is None


def test_a_grant_is_for_one_purpose():
    """One to join lets nobody in, and one to connect opens no room."""
    assert KEYS.check_connect(TEXT, Holder("ann", False, b""), 1_500) is None
    assert KEYS.check(CONNECTS, "ann", "seen", 1_500) is None


def test_keys_change_for_grants_to_connect_too():
    """The first one signs, all verify; without one there is none."""
    both = GrantKeys([OLDER, KEY])
    assert both.check_connect(CONNECTS, HOLDER, 1_500) == CONNECT
    assert KEYS.check_connect(both.sign_connect(CONNECT, HOLDER), HOLDER, 1_500) is None
    assert GrantKeys().sign_connect(CONNECT, HOLDER) == ""


def test_what_is_too_long_for_a_header_is_not_granted():
    """Its holder is asked about again; all that is made can be shown."""
    rooms, longest = [], ""
    while text := KEYS.sign_connect(ConnectGrant(1_000, 2_000, "kim", tuple(rooms), b"x" * 1_024), HOLDER):
        longest = text
        rooms.append(f"{len(rooms):0128}")
    assert CONNECT_GRANT_MAX - 180 < len(longest) <= CONNECT_GRANT_MAX < GRANT_MAX
    assert len(KEYS.check_connect(longest, HOLDER, 1_500).rooms) == len(rooms) - 1


@given(st.text(max_size=200))
def test_anything_may_be_shown_to_connect(text):
    """What is no grant is none, and nothing is raised."""
    assert KEYS.check_connect(text, HOLDER, 1_500) is None
