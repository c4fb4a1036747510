"""client_frames: what clients send, as structs."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import client_frames


@pytest.mark.parametrize("struct", client_frames.CLIENT_FRAMES, ids=lambda struct: struct.__name__)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


@pytest.mark.parametrize(
    ("struct", "frame"),
    [
        (client_frames.JoinFrame, b'{"type":"JOIN","room":null,"id":null,"payload":null}'),
        (client_frames.HistoryRequestFrame, b'{"type":"HISTORY","room":null,"payload":null}'),
        (client_frames.ClientMessage, b'{"type":"CHAT","payload":null,"key":null,"include_sender":null}'),
    ],
)
def test_null_counts_as_left_out(struct, frame):
    """A field that is null has its default."""
    assert msgspec.json.decode(frame, type=struct) == struct(
        **({"type": "CHAT"} if struct is client_frames.ClientMessage else {})
    )


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (client_frames.HistoryRequestPayload, b'{"limit":101}'),
        (client_frames.HistoryRequestPayload, b'{"before":0}'),
        (client_frames.Since, b'{"epoch":"a","seq":-1}'),
        (client_frames.AuthPayload, b'{"token":""}'),
        (client_frames.AuthPayload, b'{"token":"%s"}' % (b"x" * (client_frames.TOKEN_MAX + 1))),
        (client_frames.PresenceRequestPayload, b'{"limit":501}'),
        (client_frames.PresenceRequestPayload, b'{"watch":[%s]}' % b",".join([b'"a"'] * 101)),
        (client_frames.JoinPayload, b'{"grant":"%s"}' % (b"x" * 4_097)),
        (client_frames.AuthPayload, b'{"token":"t","grant":"%s"}' % (b"x" * 4_097)),
    ],
)
def test_a_payload_beyond_its_bounds_is_refused(payload, text):
    """The decoder says so itself."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=payload)
