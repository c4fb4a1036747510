"""installation: what operators may ask, and what they are told."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import installation


@pytest.mark.parametrize(
    "struct",
    [*(struct for verb in installation.VERBS for struct in (verb.body, verb.result)), installation.KeyRights],
    ids=lambda struct: struct.__name__,
)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost; what has its default may be added to a question."""
    for example, written in through(struct):
        assert {name: written[name] for name in example} == example


def test_a_page_is_within_its_bounds():
    """A default where nothing is said, and never more than the most."""
    for struct in (installation.Gateways, installation.ShardList):
        assert msgspec.json.decode(b"{}", type=struct) == struct(limit=100, cursor="")
        for text in (b'{"limit":0}', b'{"limit":501}', b'{"lmit":1}'):
            with pytest.raises(msgspec.ValidationError):
                msgspec.json.decode(text, type=struct)
