"""A RabbitMQ in a folder: how it is named, entered and refused. That it runs is shown by `make
test-rabbit4`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rabbit_nodes.debian import EPMD, SERVER, VARIABLE, RabbitRoot, named_root
from rabbit_nodes.node import RabbitNode
from rabbit_nodes.server import RabbitMissing


def filled(folder: Path) -> RabbitRoot:
    for program in (SERVER, EPMD):
        place = folder / program.relative_to("/")
        place.parent.mkdir(parents=True)
        place.touch()
    (folder / "tmp").mkdir()
    return RabbitRoot(folder)


def test_paths_have_two_names(tmp_path: Path) -> None:
    """What is called one thing inside is found at another outside, and back."""
    root = RabbitRoot(tmp_path)
    assert root.outside(Path("/usr/bin/epmd")) == tmp_path / "usr/bin/epmd"
    assert root.inside(tmp_path / "usr/bin/epmd") == Path("/usr/bin/epmd")


def test_a_temporary_folder_is_seen_inside(tmp_path: Path) -> None:
    """A node's folder lies in the root's own /tmp."""
    root = filled(tmp_path)
    folder = root.temporary_folder("node-")
    assert folder.is_dir()
    assert root.inside(folder).parent == Path("/tmp")


def test_a_program_keeps_its_arguments(tmp_path: Path) -> None:
    """The command ends with the program and its arguments, each a word of its own."""
    command = RabbitRoot(tmp_path).command(SERVER, "a b", "c")
    assert command[-4:] == [str(tmp_path), str(SERVER), "a b", "c"]


def test_the_environment_may_name_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """WARREN_TEST_RABBIT_ROOT names the folder; without it the machine's own RabbitMQ is taken."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert named_root() == RabbitRoot(tmp_path)
    monkeypatch.delenv(VARIABLE)
    assert named_root() is None


def test_what_is_lacking_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without RabbitMQ, a missing tool and a missing right are each named, and a node says so at
    once.
    """
    assert "holds no /usr/lib/rabbitmq/bin/rabbitmq-server" in (RabbitRoot(tmp_path).lack() or "")
    with pytest.raises(RabbitMissing, match="scripts/dev/fetch-rabbitmq"):
        RabbitNode(root=RabbitRoot(tmp_path))
    root = filled(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert root.lack() == f"only root can run RabbitMQ from {tmp_path}"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert root.lack() is None
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "chroot" else f"/usr/bin/{name}")
    assert "chroot is missing" in (root.lack() or "")
