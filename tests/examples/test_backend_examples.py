"""The examples of backends in Python that stand in frameworks, each run as its head says, behind one real
installation.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.client import Client, connect
from tests.support.eventually import eventually, stretched
from tests.support.installation import Installation, installed_alone
from tests.support.ports import free_port
from tests.support.rabbit import Rabbit

pytestmark = pytest.mark.rabbit

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ENV = {"WARREN_NAMESPACES": 'services: [{pattern: "*", timeout_ms: 20000}]'}


@pytest.fixture(scope="module")
def installation(_broker: Rabbit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed_alone(_broker, tmp_path_factory.mktemp("installation"), ENV) as made:
        yield made


@asynccontextmanager
async def running(
    installation: Installation,
    *command: str,
    begun: str,
    folder: Path = EXAMPLES,
    faults: int = 0,
    end: int = signal.SIGTERM,
    **env: str,
) -> AsyncIterator[list[str]]:
    """Run a program until it has said that it has begun; it ends well at ``end``. What it says is kept."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"AMQP_URL": installation.url, "PYTHONUNBUFFERED": "1"} | env,
    )  # fmt: skip
    assert process.stdout is not None
    said: list[str] = []

    async def read(lines: asyncio.StreamReader) -> None:
        async for line in lines:
            said.append(line.decode())

    reading = asyncio.create_task(read(process.stdout))
    try:
        await eventually(lambda: begun in "".join(said), 40.0, what=f"{command} says {begun!r}: {said[-20:]}")
        yield said
        process.send_signal(end)
        async with asyncio.timeout(stretched(20.0)):
            await process.wait()
            await reading
        assert "".join(said).count("Traceback") == faults, "".join(said)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.wait([reading])


async def post(url: str, **how: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, **how) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status == 200 else None


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.json()


async def asked(client: Client, service: str, ref: str, payload: Any) -> Any:
    """Ask a service, and return what it answers, or the code of the ERROR."""
    await client.send("REQUEST", service=service, id=ref, payload=payload)
    answer = await eventually(
        lambda: next((each for each in client.received if each.get("ref") == ref), None), 10.0
    )
    return answer["payload"] if answer["type"] == "RESPONSE" else answer["payload"]["code"]


async def test_fastapi(installation: Installation) -> None:
    """An endpoint that notifies with a receipt, a service, and events."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    uvicorn = ("-m", "uvicorn", "fastapi_app:app", "--port", str(port))
    async with running(installation, *uvicorn, begun="Application startup complete"):
        async with await connect(installation.gateway.url, user="ann") as ann:
            assert (await ann.expect("NOTIFICATION", room="@ann"))["payload"] == {"open": []}
            assert await eventually(lambda: get(f"{url}/online")) == ["ann"]
            for _ in range(2):
                assert await post(f"{url}/orders/7/paid?user=ann") == (
                    200,
                    {"connections": 1, "written": True},
                )
            assert (await ann.expect("order.paid"))["payload"] == {"order": 7}
            assert await asked(ann, "orders.get", "a", {"id": 7}) == {"id": 7, "paid": True}
            assert await asked(ann, "orders.get", "b", {"id": 8}) == "not_found"
            assert await asked(ann, "orders.get", "c", "7") == "not_found"
            await ann.settle()
            assert len(ann.of_type("order.paid")) == 1
        await eventually(lambda: gone(f"{url}/online"))
        assert await post(f"{url}/orders/9/paid?user=nobody") == (200, {"connections": 0, "written": True})


async def gone(url: str) -> bool:
    return await get(url) == []


async def test_django(installation: Installation, tmp_path: Path) -> None:
    """A view that notifies when its transaction is committed, and not otherwise; a command that serves clients and
    counts events in the database.
    """
    folder = EXAMPLES / "django_shop"
    env = {"SHOP_DATABASE": str(tmp_path / "db.sqlite3"), "PYTHONDONTWRITEBYTECODE": "1"}
    migrate = await asyncio.create_subprocess_exec(
        sys.executable,
        "manage.py",
        "migrate",
        cwd=folder,
        env=os.environ | env,
        stdout=asyncio.subprocess.PIPE,
    )
    await migrate.communicate()
    assert migrate.returncode == 0
    check = await asyncio.create_subprocess_exec(
        sys.executable, "manage.py", "makemigrations", "--check", cwd=folder, env=os.environ | env,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert (await check.communicate(), check.returncode)[1] == 0
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = ("manage.py", "runserver", "--noreload", str(port))
    async with (
        running(installation, *server, begun="Starting development server", folder=folder, faults=1, **env),
        running(installation, "manage.py", "serve_warren", begun="serving", folder=folder, **env),
        await connect(installation.gateway.url, user="dan") as dan,
    ):
        assert await post(f"{url}/orders/", data={"user": "dan", "number": "7"}) == (200, {"number": 7})
        assert (await dan.expect("order.taken"))["payload"] == {"order": 7}
        failed = {"user": "dan", "number": "8", "fail": "yes"}
        assert (await post(f"{url}/orders/", data=failed))[0] == 500
        assert await asked(dan, "orders.get", "a", {"number": 7}) == {"number": 7, "user": "dan"}
        assert await asked(dan, "orders.get", "b", {"number": 8}) == "not_found"
        await eventually(lambda: visited(f"{url}/visits/dan/"), 10.0)
        await dan.settle()
        assert len(dan.of_type("order.taken")) == 1


async def visited(url: str) -> bool:
    return await get(url) == {"visits": 1}


async def test_faststream(installation: Installation) -> None:
    """Its own broker hears events, publishes notifications, and answers requests."""
    async with (
        running(installation, "faststream_app.py", begun="serving echo"),
        await connect(installation.gateway.url, user="fay") as fay,
    ):
        assert (await fay.expect("greeting", timeout_s=10.0))["payload"] == {"text": "hello fay"}
        assert await asked(fay, "echo", "a", {"x": [1]}) == {"user": "fay", "payload": {"x": [1]}}


async def test_celery(installation: Installation) -> None:
    """A worker hears events beside its tasks; a task notifies, once however often it is run. (At SIGTERM Celery
    takes ten seconds of its own.)
    """
    worker = ("-m", "celery", "-A", "celery_app", "worker", "--pool", "solo", "--loglevel", "INFO")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    async with (
        running(installation, *worker, *quiet, begun=" ready.", end=signal.SIGKILL) as said,
        await connect(installation.gateway.url, user="cem") as cem,
    ):
        assert (await cem.expect("welcome", timeout_s=20.0))["payload"] == {"text": "hello cem"}
        program = "from celery_app import invoice\nfor _ in range(2): invoice.delay('cem', 7)"
        send = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, cwd=EXAMPLES, env=os.environ | {"AMQP_URL": installation.url}
        )
        assert await send.wait() == 0
        assert (await cem.expect("invoice", timeout_s=20.0))["payload"] == {"invoice": 7}
        await eventually(lambda: sum("invoice" in line and "succeeded" in line for line in said) == 2, 20.0)
        await cem.settle()
        assert len(cem.of_type("invoice")) == 1
