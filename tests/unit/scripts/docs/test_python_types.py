"""The types of Python: they are valid, and say what the structs say."""

import runpy
from pathlib import Path
from typing import get_type_hints, is_typeddict

import pytest
from scripts.docs.python_types import python_client_types, python_types

from warren.contract.catalog import structs
from warren.contract.examples import EXAMPLES


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    path = tmp_path_factory.mktemp("types") / "warren_types.py"
    path.write_text(python_types())
    return runpy.run_path(str(path))


def test_every_message_has_a_type_with_the_fields_of_its_struct(types: dict[str, object]) -> None:
    """Each example has all that its type requires, and nothing that its type has not."""
    for struct in structs():
        made = types.get(f"{struct.__name__}Command") or types[struct.__name__]
        assert is_typeddict(made)
        for example in EXAMPLES[struct]:
            assert made.__required_keys__ <= set(example)
            assert set(example) <= made.__required_keys__ | made.__optional_keys__


def test_hints_can_be_resolved(types: dict[str, object]) -> None:
    """No name is missing in the file."""
    for made in list(types.values()):
        if is_typeddict(made):
            assert set(get_type_hints(made, types)) == made.__required_keys__ | made.__optional_keys__


def test_the_clients_types_are_the_frames_alone(tmp_path: Path) -> None:
    """With all that they are made of, and the two unions."""
    path = tmp_path / "wire.py"
    path.write_text(python_client_types())
    made = runpy.run_path(str(path))
    assert {"JoinFrame", "Since", "ServerFrame", "ClientFrame"} <= set(made)
    assert not {"Notification", "PublishCommand", "HookQuestion"} & set(made)
