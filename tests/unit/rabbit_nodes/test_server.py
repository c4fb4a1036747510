"""Where RabbitMQ is looked for, and what is said where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rabbit_nodes.server import RabbitMissing, find_server


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
    monkeypatch.setattr("rabbit_nodes.server.installed_servers", list)
    with pytest.raises(RabbitMissing, match="apt-get install --no-install-recommends rabbitmq-server"):
        find_server()
