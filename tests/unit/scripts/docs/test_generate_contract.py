"""What is made from the contract, and the check that it is up to date."""

import json
from pathlib import Path

import pytest
from scripts.docs import generate_contract


def test_files_are_made_once_and_drift_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check fails while a file is missing or edited, names it, and passes once the files are made."""
    monkeypatch.setattr(generate_contract, "ROOT", tmp_path)
    assert generate_contract.main(["--check"]) == 1
    assert generate_contract.main([]) == 0
    assert generate_contract.main(["--check"]) == 0
    page = tmp_path / "docs/reference/client-frames.md"
    page.write_text(page.read_text().replace("JOIN", "JION", 1))
    capsys.readouterr()
    assert generate_contract.main(["--check"]) == 1
    assert "docs/reference/client-frames.md is not what the contract says" in capsys.readouterr().err
    assert generate_contract.main(["--verbose"]) == 2


def test_the_repositorys_files_are_in_step() -> None:
    """What is checked in is what the contract says."""
    assert generate_contract.main(["--check"]) == 0


def test_the_document_is_json() -> None:
    """Of AsyncAPI, with Warren's version."""
    document = json.loads(generate_contract.files()["docs/reference/asyncapi.json"])
    assert document["asyncapi"] == "3.0.0"
