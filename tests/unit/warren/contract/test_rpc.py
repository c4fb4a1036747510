"""rpc: headers of requests and answers."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import rpc


@pytest.mark.parametrize(
    "struct", [rpc.RequestHeaders, rpc.ResponseHeaders, rpc.CancelHeaders], ids=lambda struct: struct.__name__
)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_a_single_answer_needs_no_header():
    """So a stock AMQP RPC server is a service."""
    assert msgspec.json.encode(rpc.ResponseHeaders()) == b"{}"
