"""Signatures, by the examples of the protocol's description."""

from warren.pusher import signatures

SECRET = "7ad3773142a6692b25b8"


def test_a_channel_is_signed_as_the_description_says():
    """The worked examples of private and presence channels."""
    text = signatures.of_channel("1234.1234", "private-foobar")
    assert text == "1234.1234:private-foobar"
    assert signatures.sign(SECRET, text) == "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
    data = '{"user_id":10,"user_info":{"name":"Mr. Pusher"}}'
    text = signatures.of_channel("1234.1234", "presence-foobar", data)
    assert signatures.sign(SECRET, text) == "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c"


def test_a_request_is_signed_as_the_description_says():
    """The worked example of the HTTP API."""
    body = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
    assert signatures.body_md5(body) == "ec365a775a4cd0599faeb73354201b6f"
    query = {
        "auth_version": "1.0",
        "auth_key": "278d425bdf160c739803",
        "auth_timestamp": "1353088179",
        "body_md5": "ec365a775a4cd0599faeb73354201b6f",
        "auth_signature": "left out",
    }
    text = signatures.of_request("POST", "/apps/3/events", query)
    assert signatures.sign(SECRET, text) == "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"


def test_any_secret_that_counts_may_have_signed():
    """So that one can be replaced; what is no text, or not whole, is no signature."""
    right = signatures.sign("b", "text")
    assert signatures.holds(("a", "b"), "text", right)
    for wrong in ("", right[:-1], right.upper(), right + "0", "é" * 64, "\udc80"):
        assert not signatures.holds(("a", "b"), "text", wrong)
    assert not signatures.holds((), "text", right)
    assert signatures.of_user("1.2", "{}") == "1.2::user::{}"
    assert signatures.sign("a", "\ud83d")  # it signs nothing that a backend has
