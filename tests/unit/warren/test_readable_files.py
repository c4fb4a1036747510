"""Files: what is said of one that can't be loaded."""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path

import pytest

from warren.readable_files import load_problem, text_of


def test_a_file_is_named_and_never_shown(tmp_path: Path) -> None:
    """What is missing, what may not be read and what holds something else are told apart by the setting's
    name.
    """
    context = ssl.create_default_context()
    file = tmp_path / "ca.pem"

    def problem(path: Path) -> list[str]:
        return load_problem(
            "WARREN_X", "no certificates in PEM", partial(context.load_verify_locations, cafile=str(path))
        )

    assert problem(file) == ["WARREN_X: can't be read: No such file or directory"]
    assert problem(tmp_path) != []
    file.write_text("sesame")
    assert problem(file) == ["WARREN_X: no certificates in PEM"]


@pytest.mark.parametrize("error", [ValueError("embedded null byte"), OSError("x")])
def test_what_has_no_reason_of_its_own_is_no_such_file(error: Exception) -> None:
    """A path that can't be one, too."""

    def load() -> None:
        raise error

    assert load_problem("WARREN_X", "wrong", load) == ["WARREN_X: can't be read: no such file"]


def test_a_file_that_can_be_loaded_is_no_problem() -> None:
    """Nothing is said."""
    assert load_problem("WARREN_X", "wrong", lambda: None) == []


def test_a_file_has_text_within_a_bound(tmp_path: Path) -> None:
    """What is larger, and what is no UTF-8, is refused."""
    file = tmp_path / "schema.json"
    file.write_text("é" * 50)
    assert text_of(str(file), 100) == "é" * 50
    with pytest.raises(ValueError, match="has more than 99 bytes"):
        text_of(str(file), 99)
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        text_of(str(file), 100)
    with pytest.raises(OSError, match="No such file"):
        text_of(str(tmp_path / "none"), 100)
