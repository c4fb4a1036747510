"""Opening: envelopes out of bytes, saving what can be saved."""

from hypothesis import given
from hypothesis import strategies as st

from router.shell.lenient_decode import opened
from warren.envelope import Bye, Leave, encode


def test_a_good_batch_opens_whole():
    """All envelopes in order, and no reason."""
    assert opened(encode([Bye("g1"), Leave(("a",), "g1~1")])) == ([Bye("g1"), Leave(("a",), "g1~1")], "")


def test_a_spoilt_part_costs_only_itself():
    """The others come in order, and the reason counts what is lost."""
    first, last = encode([Bye("g1")])[3:], encode([Bye("g2")])[3:]
    envelopes, reason = opened(b"\x92\x01\x93" + first + b"\xa1x" + last)
    assert envelopes == [Bye("g1"), Bye("g2")]
    assert reason == "malformed: 1 of 3 parts are no envelopes"


def test_what_is_no_batch_and_what_is_of_another_version_have_their_reasons():
    """The part before the colon is one word that can be counted."""
    assert [opened(body)[1].partition(":")[0] for body in (b"", b"\xc1", b"\x92\x02\x90")] == [
        "malformed",
        "malformed",
        "unsupported",
    ]


@given(st.binary(max_size=60))
def test_no_bytes_raise(body):
    """Either all of it is good, or there is a reason."""
    envelopes, reason = opened(body)
    assert isinstance(envelopes, list)
    assert reason or body[:2] == b"\x92\x01"
