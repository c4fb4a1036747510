"""What a private node says where it can't run. That one runs is shown by
``tests/integration/rabbit_nodes/test_node.py``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from rabbit_nodes.node import RabbitNode
from rabbit_nodes.server import RabbitMissing


def test_without_erlang_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server script without Erlang is named in one line, and no folder is left."""
    script = tmp_path / "rabbitmq-server"
    script.touch()
    monkeypatch.setenv("RABBITMQ_SERVER", str(script))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RabbitMissing, match="Erlang"):
        RabbitNode()
    assert list(tmp_path.iterdir()) == [script]


def test_a_node_that_ends_at_once_is_told_with_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the server fails, the error has its exit code and what it printed, and nothing is left behind."""
    script = tmp_path / "rabbitmq-server"
    script.write_text("#!/bin/sh\necho the disk is on fire\nexit 3\n")
    script.chmod(0o755)
    epmd = tmp_path / "epmd"
    epmd.write_text("#!/bin/sh\nexec sleep 60\n")
    epmd.chmod(0o755)
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setenv("RABBITMQ_SERVER", str(script))
    monkeypatch.setattr("rabbit_nodes.node.find_epmd", lambda: epmd)
    monkeypatch.setattr(tempfile, "tempdir", str(folders))
    with pytest.raises(RabbitMissing, match=r"(?s)ended with 3.*disk is on fire"), RabbitNode():
        pass
    assert list(folders.iterdir()) == []
