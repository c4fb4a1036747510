"""The package's types are those of the contract."""

from __future__ import annotations

from typing import get_type_hints, is_typeddict

from warren.contract.catalog import GROUPS
from warren.contract.examples import EXAMPLES
from warren_backend import contract


def test_every_message_between_warren_and_backends_has_its_type() -> None:
    """Each example has all that its type requires, and nothing that its type has not; clients' frames are not
    there.
    """
    for group in GROUPS:
        for struct in group.structs:
            name = struct.__name__
            made = getattr(contract, f"{name}Command", None) or getattr(contract, name, None)
            if group.name in ("client frames", "server frames"):
                continue
            assert is_typeddict(made), name
            get_type_hints(made)
            for example in EXAMPLES[struct]:
                assert made.__required_keys__ <= set(example)
                assert set(example) <= made.__required_keys__ | made.__optional_keys__
    assert not hasattr(contract, "WelcomeFrame")
