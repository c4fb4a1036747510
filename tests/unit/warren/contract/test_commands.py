"""commands: what backends may have Warren do."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import commands


@pytest.mark.parametrize(
    "struct",
    [
        struct
        for verb in commands.CHANGES
        for struct in (verb.body, verb.result)
        if struct is not commands.Batch
    ],
    ids=lambda struct: struct.__name__,
)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost; what has its default may be added to a body."""
    for example, written in through(struct):
        assert {name: written[name] for name in example} == example


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (commands.Publish, b'{"address":"room.a"}'),
        (commands.Publish, b'{"address":"a","payload":1}'),
        (commands.Publish, b'{"address":"room.a","payload":1,"pyload":2}'),
        (commands.Publish, b'{"address":"room.a","payload":1,"wait_ms":10001}'),
        (commands.Disconnect, b'{"address":"room.a"}'),
        (commands.Disconnect, b'{"address":"user.a","code":4000}'),
        (commands.Add, b'{"address":"user.a","rooms":[]}'),
        (commands.Revoke, b'{"address":"conn.g1~5"}'),
    ],
)
def test_a_body_out_of_its_bounds_is_refused(body, text):
    """Also one with a field that nobody knows."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=body)


def test_a_batch_keeps_its_messages_as_text():
    """Each is judged for itself."""
    batch = msgspec.json.decode(b'{"messages":[{"address":1}]}', type=commands.Batch)
    assert bytes(batch.messages) == b'[{"address":1}]'


def test_what_stays_is_called_except():
    """As in the text of a command, though Python has another use for that word."""
    command = msgspec.json.decode(b'{"address":"user.a","except":["g1~5f"]}', type=commands.Disconnect)
    assert command.except_ == ["g1~5f"]
