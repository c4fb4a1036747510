"""A private node as a command and as an object: it starts, answers, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pika
import psutil
import pytest
from tests.support.eventually import stretched

from rabbit_nodes.node import RabbitNode

pytestmark = [pytest.mark.rabbit, pytest.mark.slow]


def test_a_node_keeps_its_data_over_a_loss_and_leaves_nothing_when_closed() -> None:
    """Killed and started again it is the same broker on the same port; closed, its process and folder are gone."""
    with RabbitNode(config="vm_memory_high_watermark.relative = 0.3\n") as node:
        url = node.add_vhost("kept")
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_declare("q", durable=True)
        pid, port = node.pid, node.port
        node.kill()
        assert not node.running
        assert not node.answers()
        node.start()
        assert (node.port, node.pid == pid) == (port, False)
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_declare("q", passive=True)
        with pytest.raises(RuntimeError, match="rabbitmqctl no_such_command"):
            node.ctl("no_such_command")
        folder, pid = node.folder, node.pid
    assert not folder.exists()
    assert not psutil.pid_exists(pid)


def test_the_command_prints_the_url_and_ends_by_sigterm(tmp_path: Path) -> None:
    """``python -m rabbit_nodes`` prints one AMQP URL once the node answers, and SIGTERM ends all with 0."""
    with subprocess.Popen(
        [sys.executable, "-m", "rabbit_nodes"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as command:
        assert command.stdout is not None
        try:
            url = command.stdout.readline().strip()
            pika.BlockingConnection(pika.URLParameters(url)).close()
            started = [child.pid for child in psutil.Process(command.pid).children(recursive=True)]
            command.send_signal(signal.SIGTERM)
            assert command.wait(stretched(30.0)) == 0
        finally:
            command.kill()
    assert started
    assert not [pid for pid in started if psutil.pid_exists(pid)]
