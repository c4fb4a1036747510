"""Both images as they ship: what is in them, and a message through containers that may write nothing and are
nobody.

``scripts/test/images`` builds them and names the program (docker or podman) and the tag; without that these
tests are skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.client import connect
from tests.support.eventually import eventually, stretched
from tests.support.ports import free_port
from tests.support.rabbit import Rabbit

from warren.topology import Topology

PROGRAM = os.environ.get("WARREN_TEST_CONTAINERS", "")
TAG = os.environ.get("WARREN_TEST_IMAGE_TAG", "")
pytestmark = [
    pytest.mark.images,
    pytest.mark.skipif(not PROGRAM, reason="make test-images builds the images first"),
]

# As a careful cluster runs them. The network is the host's, for the private broker on the loopback.
CONFINED = ("--network", "host", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
MEMORY = ("--memory", "256m")
OWN_MIB = 100  # what an image may hold besides Python
ROOT = Path(__file__).parents[2]
SERVICES = ("gateway", "router")

Start = Callable[..., str]


def image(service: str) -> str:
    return f"warren-{service}:{TAG}"


def containers(*arguments: str, timeout_s: float = 60.0) -> str:
    done = subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{PROGRAM} {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done.stdout


def in_python(service: str, code: str) -> str:
    """Run a line of Python in a confined container."""
    return containers("run", "--rm", *CONFINED, "--entrypoint", "python", image(service), "-c", code).strip()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a confined service in the background and return its container's id; all go with the test, their
    logs printed.
    """
    started: list[str] = []

    def begin(service: str, env: dict[str, str]) -> str:
        variables = [part for name, value in env.items() for part in ("--env", f"{name}={value}")]
        started.append(containers("run", "--detach", *CONFINED, *MEMORY, *variables, image(service)).strip())
        return started[-1]

    yield begin
    for each in started:
        said = subprocess.run([PROGRAM, "logs", each], capture_output=True, text=True, check=False)
        sys.stdout.write(f"── {each[:12]}:\n{said.stdout[-4_000:]}{said.stderr[-4_000:]}\n")
        containers("rm", "--force", each)


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2.0) as answer:
            return bool(answer.status == 200)
    except OSError:  # nobody listens yet, or 503
        return False


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_says_how_it_is_run(service: str) -> None:
    """It runs as a user with a number that is not root's, starts its service and nothing around it, and ends
    by SIGTERM.
    """
    config = json.loads(containers("image", "inspect", image(service)))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m", service]
    assert config.get("StopSignal", "SIGTERM") in ("SIGTERM", "15")
    assert set(config["ExposedPorts"]) == ({"8080/tcp", "9080/tcp"} if service == "gateway" else {"9081/tcp"})
    assert config["Labels"]["org.opencontainers.image.title"] == f"warren-{service}"


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_its_own_service_alone(service: str) -> None:
    """Neither the other service, nor a tool that builds packages, nor a test is in it, and it is small."""
    strangers = [*(name for name in SERVICES if name != service), "embedded", "hatchling", "pytest", "pika"]
    code = (
        "import importlib.util as u, pathlib, warren; "
        f"print([name for name in {strangers!r} if u.find_spec(name)]); "
        "print(sum(p.stat().st_size for p in pathlib.Path('/opt/warren').rglob('*') "
        "if p.is_file() and not p.is_symlink()) >> 20)"
    )
    found, size_mib = in_python(service, code).splitlines()
    assert found == "[]"
    assert int(size_mib) < OWN_MIB


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_nobody_and_writes_nothing(service: str) -> None:
    """It has no rights, no name and no place to write, and all its code was compiled when it was built."""
    code = (
        "import importlib.util, os, pathlib, sys\n"
        "try: open('/opt/warren/x', 'w'); print('wrote')\n"
        "except OSError as error: print(os.getuid(), os.getgid(), error.strerror)\n"
        f"import {service}.app\n"
        "files = {name: getattr(module, '__file__', None) or '' for name, module in sys.modules.items()}\n"
        "print(sorted(name for name, file in files.items() if file.startswith('/opt') and "
        "file.endswith('.py')\n"
        "  and not pathlib.Path(importlib.util.cache_from_source(file)).is_file()))"
    )
    user, uncompiled = in_python(service, code).splitlines()
    assert user == "10001 10001 Read-only file system"
    assert uncompiled == "[]"


def test_the_routers_image_has_the_admin_page() -> None:
    """All of its files, which are no Python."""
    code = "from router.shell.admin_page import AdminPage; print(*AdminPage().paths())"
    files = {path.name for path in (ROOT / "services/router/src/router/admin").iterdir()} - {"index.html"}
    assert set(in_python("router", code).split()) == {
        "/admin",
        "/admin/",
        *(f"/admin/{name}" for name in files),
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_prints_its_settings(service: str) -> None:
    """``--settings`` works without a broker, for whoever looks into an image."""
    env = ("--env", "WARREN_GATEWAY_AUTH=anonymous", "--env", "WARREN_SHARDS=4")
    said = containers("run", "--rm", *CONFINED, *env, image(service), "--settings")
    assert "WARREN_SHARDS=4" in said
    assert f"WARREN_{service.upper()}_INTERNAL_PORT" in said


@pytest.mark.rabbit
async def test_a_message_goes_through_containers(rabbit: Rabbit, topology: Topology, start: Start) -> None:
    """A gateway and a router as containers carry a message, and SIGTERM sends the client away and ends both
    in time with 0.
    """
    port, gateway_port, router_port = free_port(), free_port(), free_port()
    shared = {
        "WARREN_AMQP_URL": rabbit.url,
        "WARREN_PREFIX": topology.prefix,
        "WARREN_SHARDS": str(topology.shards),
    }
    router = await asyncio.to_thread(
        start, "router", shared | {"WARREN_ROUTER_INTERNAL_PORT": str(router_port)}
    )
    own = {
        "WARREN_GATEWAY_HOST": "127.0.0.1",
        "WARREN_GATEWAY_PORT": str(port),
        "WARREN_GATEWAY_INTERNAL_PORT": str(gateway_port),
        "WARREN_GATEWAY_AUTH": "anonymous",
        "WARREN_GATEWAY_DRAIN_MS": "500",
    }
    gateway = await asyncio.to_thread(start, "gateway", shared | own)
    for each in (gateway_port, router_port):
        await eventually(lambda each=each: asyncio.to_thread(ready, each), 30.0)
    url = f"ws://127.0.0.1:{port}/ws"
    async with await connect(url, user="ann") as ann, await connect(url, user="bob") as bob:
        for client in (ann, bob):
            await client.join("chat:1")
        await ann.publish("chat:1", {"text": "through containers"})
        got = await bob.expect("CHAT", room="chat:1")
        assert got["payload"] == {"text": "through containers"}
        stopping = asyncio.create_task(asyncio.to_thread(containers, "stop", "--time", "30", gateway))
        await bob.expect("RECONNECT")
        assert (await bob.closed())[0] == 1012
        await asyncio.wait_for(stopping, stretched(20.0))
    await asyncio.to_thread(containers, "stop", "--time", "30", router)
    for each in (gateway, router):
        said = await asyncio.to_thread(containers, "inspect", "--format", "{{.State.ExitCode}}", each)
        assert said.strip() == "0"
