"""Where a private node finds RabbitMQ, and what it says where there is none. That it runs is shown by all
that uses it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from scripts import rabbit_node
from scripts.rabbit_node import RabbitMissing, RabbitNode, find_server


def test_the_environment_names_the_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """RABBITMQ_SERVER is taken as it is, and a wrong one is named instead of searching on."""
    script = tmp_path / "rabbitmq-server"
    monkeypatch.setenv("RABBITMQ_SERVER", str(script))
    with pytest.raises(RabbitMissing, match="rabbitmq-server, which is no file"):
        find_server()
    script.touch()
    assert find_server() == script


def test_debians_wrapper_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is on the PATH but insists on the user "rabbitmq" does not count; the message then says how to get
    RabbitMQ.
    """
    wrapper = tmp_path / "rabbitmq-script-wrapper"
    wrapper.touch(mode=0o755)
    (tmp_path / "rabbitmq-server").symlink_to(wrapper)
    monkeypatch.delenv("RABBITMQ_SERVER", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: str(tmp_path / name))
    monkeypatch.setattr(rabbit_node, "_installed", list)
    with pytest.raises(RabbitMissing, match="apt-get install --no-install-recommends rabbitmq-server"):
        find_server()


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
    monkeypatch.setattr(rabbit_node, "_find_epmd", lambda: epmd)
    monkeypatch.setattr(tempfile, "tempdir", str(folders))
    with pytest.raises(RabbitMissing, match=r"(?s)ended with 3.*disk is on fire"), RabbitNode():
        pass
    assert list(folders.iterdir()) == []
