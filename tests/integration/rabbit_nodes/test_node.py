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
from tests.support.rabbit import Rabbit

from rabbit_nodes.node import RabbitNode

pytestmark = [pytest.mark.rabbit, pytest.mark.slow]


def lives(pid: int) -> bool:
    """Say whether a process is there; one that has ended and that nobody has asked after does not count."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_node_keeps_its_data_over_a_loss(rabbit: Rabbit) -> None:
    """Killed and started again it is the same broker on the same port."""
    node, name = rabbit.node, rabbit.prefix()
    with pika.BlockingConnection(pika.URLParameters(node.url)) as connection:
        connection.channel().queue_declare(name, durable=True)
    pid, port = node.pid, node.port
    node.kill()
    assert not node.running
    assert not node.answers()
    node.start()
    assert (node.port, node.pid == pid) == (port, False)
    with pika.BlockingConnection(pika.URLParameters(node.url)) as connection:
        channel = connection.channel()
        channel.queue_declare(name, passive=True)
        channel.queue_delete(name)


def test_what_rabbitmqctl_complains_of_is_told(rabbit: Rabbit) -> None:
    """With the command's name."""
    with pytest.raises(RuntimeError, match="rabbitmqctl no_such_command"):
        rabbit.node.ctl("no_such_command")


async def test_nothing_is_left_of_a_node_that_is_closed() -> None:
    """Its processes and its folder are gone, though it was frozen in the middle of its start."""
    node = RabbitNode()
    node.launch()
    started = [node.pid, *(child.pid for child in psutil.Process(node.pid).children(recursive=True))]
    node.pause()
    assert node.folder.is_dir()
    node.close()
    assert not node.folder.exists()
    await eventually(lambda: not any(map(lives, started)))


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
