"""The examples of the contract, through the structs that they are examples of."""

import json

import msgspec

from warren.contract.catalog import Struct
from warren.contract.examples import EXAMPLES


def through(struct: Struct) -> list[tuple[object, object]]:
    """Return (example, what is written of it after it was read) for each example of a struct."""
    found = []
    for example in EXAMPLES[struct]:
        read = msgspec.json.decode(json.dumps(example), type=struct)
        found.append((example, json.loads(msgspec.json.encode(read))))
    assert found
    return found
