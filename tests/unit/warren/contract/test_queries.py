"""queries: what backends may ask, and what they are told."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import queries

VERBS = [verb for verb in queries.VERBS if verb.body.__module__ == queries.__name__]


@pytest.mark.parametrize(
    "struct",
    [struct for verb in VERBS for struct in (verb.body, verb.result)],
    ids=lambda struct: struct.__name__,
)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost; what has its default may be added to a question."""
    for example, written in through(struct):
        assert {name: written[name] for name in example} == example


def test_a_page_is_within_its_bounds():
    """A default where nothing is said, and never more than the most."""
    assert msgspec.json.decode(b"{}", type=queries.Rooms) == queries.Rooms(prefix="", limit=100, cursor="")
    for text in (b'{"limit":0}', b'{"limit":1001}', b'{"lmit":1}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(text, type=queries.Rooms)
