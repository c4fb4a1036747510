"""examples: each is what its schema says, and true to the rest."""

import pytest
from jsonschema import Draft7Validator

from warren.contract.catalog import structs
from warren.contract.examples import EXAMPLES
from warren.contract.schemas import components, standalone

SCHEMAS = components("draft-07")


@pytest.mark.parametrize("struct", EXAMPLES, ids=lambda struct: struct.__name__)
def test_an_example_is_valid(struct):
    """It holds to its schema, and has no field that the schema has not."""
    validator = Draft7Validator(standalone(struct.__name__, SCHEMAS))
    for example in EXAMPLES[struct]:
        assert list(validator.iter_errors(example)) == []
        assert set(example) <= set(SCHEMAS[struct.__name__]["properties"])


def test_every_message_has_one():
    """A reader who never saw Warren sees each of them once."""
    assert [struct.__name__ for struct in structs() if not EXAMPLES.get(struct)] == []


def test_the_digest_is_the_sum_of_the_proofs():
    """The example of a page and that of a change add up."""
    (page, change) = (
        example["payload"]
        for struct, found in EXAMPLES.items()
        if struct.__name__ == "PresenceFrame"
        for example in found
    )
    proofs = {member["user"]: int(member["proof"], 16) for member in page["joined"]}
    assert int(page["digest"], 16) == sum(proofs.values()) % 2**64
    for user in change["left"]:
        del proofs[user]
    assert int(change["digest"], 16) == sum(proofs.values()) % 2**64
