"""queries: what backends may ask, and what they are told."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import commands, queries

RESULTS = [verb.result for verb in commands.VERBS if verb.result.__module__ == queries.__name__]


@pytest.mark.parametrize("struct", RESULTS, ids=lambda struct: struct.__name__)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_a_query_may_be_empty():
    """Each field of a page has a default."""
    assert msgspec.json.decode(b"{}", type=queries.RoomsCommand) == queries.RoomsCommand()
