"""hooks: what backends are asked, and what they answer."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import hooks


@pytest.mark.parametrize("struct", [hooks.HookQuestion, hooks.HookAnswer], ids=lambda struct: struct.__name__)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_a_payload_of_null_is_not_one_that_is_left_out():
    """Null may be published, and may take the place of what was."""
    assert msgspec.json.decode(b'{"allow":true}', type=hooks.HookAnswer).payload is msgspec.UNSET
    assert msgspec.json.decode(b'{"allow":true,"payload":null}', type=hooks.HookAnswer).payload is None
