"""commands: what backends may have Warren do."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import commands


@pytest.mark.parametrize(
    "struct",
    [verb.body for verb in commands.VERBS if verb.body is not None],
    ids=lambda struct: struct.__name__,
)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_a_batch_names_the_address_of_each_message():
    """A message without one is refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"messages":[{"payload":1}]}', type=commands.BatchCommand)


def test_what_stays_is_called_except():
    """As in the text of a command, though Python has another use for that word."""
    command = msgspec.json.decode(b'{"except":["g1~5f"]}', type=commands.DisconnectCommand)
    assert command.except_ == ["g1~5f"]
