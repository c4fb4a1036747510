"""server_frames: what the gateway sends, as structs."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import server_frames


@pytest.mark.parametrize("struct", server_frames.SERVER_FRAMES, ids=lambda struct: struct.__name__)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_what_is_not_known_is_left_out():
    """An ACK of a message that is not numbered is empty, an ERROR has only what it needs."""
    assert msgspec.json.encode(server_frames.AckPayload()) == b"{}"
    error = server_frames.ErrorPayload("forbidden", "Not here", False)
    assert msgspec.json.encode(error) == b'{"code":"forbidden","message":"Not here","retry":false}'


def test_what_may_be_null_is_told():
    """A token without an end is told as null, never left out."""
    assert msgspec.json.encode(server_frames.AuthenticatedPayload(None)) == b'{"expires_at":null}'
