"""What the nodes of a cluster are told of each other; stand-ins play RabbitMQ, and none is started. That they form one
broker is shown by ``tests/integration/rabbit_nodes/test_cluster.py``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from rabbit_nodes.cluster import RabbitCluster
from rabbit_nodes.server import RabbitMissing


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where nodes have their folders; RabbitMQ and Erlang are files that nobody runs."""
    script = tmp_path / "rabbitmq-server"
    script.touch()
    monkeypatch.setenv("RABBITMQ_SERVER", str(script))
    monkeypatch.setattr("rabbit_nodes.node.find_epmd", lambda: tmp_path / "epmd")
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folders))
    return folders


def test_each_node_looks_for_the_first(folders: Path) -> None:
    """All share a cookie and the first node's epmd; each has a port and a name of its own and names the first."""
    cluster = RabbitCluster(3, config="vm_memory_high_watermark.absolute = 1GB\n")
    first, *others = cluster.nodes
    assert len({node.port for node in cluster.nodes}) == len({node.name for node in cluster.nodes}) == 3
    assert {node.cookie for node in cluster.nodes} == {first.cookie}
    assert {node.epmd_port for node in cluster.nodes} == {first.epmd_port}
    assert all("absolute = 1GB" in node.config for node in cluster.nodes)
    for node in others:
        assert f"classic_config.nodes.1 = {first.name}\n" in node.config
        assert f"classic_config.nodes.2 = {node.name}\n" in node.config
    cluster.close()


def test_closing_removes_the_folders(folders: Path) -> None:
    """A cluster that was never started leaves nothing behind either."""
    cluster = RabbitCluster(2)
    assert len(list(folders.iterdir())) == 2
    cluster.close()
    assert list(folders.iterdir()) == []


def test_a_node_that_can_not_be_made_takes_the_others_with_it(
    monkeypatch: pytest.MonkeyPatch, folders: Path
) -> None:
    """Where the second node is refused, the first one's folder goes."""
    found = iter([Path("epmd")])

    def find_epmd() -> Path:
        for path in found:
            return path
        raise RabbitMissing("epmd is gone")

    monkeypatch.setattr("rabbit_nodes.node.find_epmd", find_epmd)
    with pytest.raises(RabbitMissing, match="epmd is gone"):
        RabbitCluster(2)
    assert list(folders.iterdir()) == []
