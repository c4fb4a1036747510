"""A private node as a command and as an object: it starts, answers, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pika
import psutil
import pytest
from tests.support.eventually import eventually, stretched

from rabbit_nodes.node import RabbitNode

pytestmark = [pytest.mark.rabbit, pytest.mark.slow]


def lives(pid: int) -> bool:
    """Say whether a process is there; one that has ended and that nobody has asked after does not count."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


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
    assert not lives(pid)


def run_and_end(folder: Path) -> list[int]:
    """Run the command, connect to what it prints, and end it; return the processes that it had started."""
    with subprocess.Popen(
        [sys.executable, "-m", "rabbit_nodes"], stdout=subprocess.PIPE, text=True, cwd=folder
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
    return started


async def test_the_command_prints_the_url_and_ends_by_sigterm(tmp_path: Path) -> None:
    """``python -m rabbit_nodes`` prints one AMQP URL once the node answers; SIGTERM ends it with 0 and leaves
    no process behind.
    """
    started = await asyncio.to_thread(run_and_end, tmp_path)
    assert started
    await eventually(lambda: not any(map(lives, started)))
