"""What the tests on a cluster share: images in it, a RabbitMQ beside it, and a namespace for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from scripts.chart.amqp_definitions import USER
from scripts.chart.broker_users import service_permissions
from tests.k8s.cluster import SECRET, Space, broker_host, load_images

from rabbit_nodes.node import RabbitNode

PASSWORD = "not-for-production"


@pytest.fixture(scope="session", autouse=True)
def _images() -> None:
    """Skip without a cluster; else give it the images."""
    if not os.environ.get("WARREN_TEST_IMAGES"):
        pytest.skip("make test-k8s says which cluster, and builds the images first")
    load_images()


@pytest.fixture(scope="session")
def outside(_images: None) -> Iterator[tuple[RabbitNode, str]]:
    """A RabbitMQ on this machine that listens where pods reach it: the node, and that address."""
    host = broker_host()
    node = RabbitNode()
    try:
        node.config = f"listeners.tcp.2 = {host}:{node.port}"
        node.start()
        yield node, host
    finally:
        node.close()


@pytest.fixture
def space(request: pytest.FixtureRequest, _images: None) -> Iterator[Space]:
    """A namespace that goes with the test, told of where the test failed."""
    failed = request.session.testsfailed
    space = Space()
    try:
        yield space
        if request.session.testsfailed > failed:
            space.tell()
    finally:
        space.close()


@pytest.fixture
def broker(request: pytest.FixtureRequest, outside: tuple[RabbitNode, str], space: Space) -> Iterator[str]:
    """A virtual host of the RabbitMQ outside, with the secrets that the chart asks for: a user of least
    rights, a key for tokens.
    """
    node, host = outside
    vhost = space.name
    node.add_vhost(vhost)
    rights = service_permissions("warren")
    node.ctl("add_user", f"{USER}-{vhost}", PASSWORD)
    node.ctl(
        "set_permissions",
        "-p",
        vhost,
        f"{USER}-{vhost}",
        rights["configure"],
        rights["write"],
        rights["read"],
    )
    space.secret("warren-rabbitmq", url=f"amqp://{USER}-{vhost}:{PASSWORD}@{host}:{node.port}/{vhost}")
    space.secret("warren-jwt", secret=SECRET)
    failed = request.session.testsfailed
    try:
        yield vhost
    finally:
        if request.session.testsfailed > failed:
            space.tell()  # before the services lose their broker
        node.delete_vhost(vhost)
        node.ctl("delete_user", f"{USER}-{vhost}")
