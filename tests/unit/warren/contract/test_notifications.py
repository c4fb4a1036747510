"""notifications: what backends publish, as structs."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import notifications


@pytest.mark.parametrize(
    "struct",
    [notifications.NotificationHeaders, notifications.NotificationEntry, notifications.DeadLetterHeaders],
    ids=lambda struct: struct.__name__,
)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_a_payload_stays_as_it_came():
    """White space and all."""
    entry = msgspec.json.decode(b'{"address":"all","payload":[ 1 ]}', type=notifications.NotificationEntry)
    assert bytes(entry.payload) == b"[ 1 ]"
