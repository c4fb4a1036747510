"""The frames as types are those of the contract (scripts/docs/generate makes them)."""

from pathlib import Path
from typing import get_type_hints, is_typeddict

from scripts.docs.python_types import python_client_types

from warren.contract.client_frames import CLIENT_FRAMES
from warren.contract.server_frames import SERVER_FRAMES
from warren_client import wire


def test_every_frame_has_its_type_and_nothing_else_is_there() -> None:
    """Frames of both directions, without what backends send and get."""
    for frame in CLIENT_FRAMES + SERVER_FRAMES:
        assert is_typeddict(getattr(wire, frame.__name__))
    assert not hasattr(wire, "Notification")
    for made in vars(wire).values():
        if is_typeddict(made):
            assert get_type_hints(made) is not None


def test_the_file_is_what_the_contract_says() -> None:
    """As long as nobody edits it by hand."""
    assert Path(wire.__file__).read_text(encoding="utf-8") == python_client_types()
