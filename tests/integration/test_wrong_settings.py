"""Wrong addresses and standard variables, given to the real processes: all named at once, exit code 2, and no
part of a secret anywhere.
"""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from tests.support.eventually import stretched

SECRET = "Zq7xK9vW"
MODULES = ("gateway", "router", "embedded")
BROKER = "WARREN_AMQP_URL"

# What is wrong with one variable; each has the secret in it where a secret can be.
ADDRESSES = [
    f"amqp://w:{SECRET[:4]}/{SECRET[4:]}@h/",
    f"amqp://w:{SECRET[:4]}#{SECRET[4:]}@h/",
    f"amqp://w:{SECRET[:4]}?{SECRET[4:]}@h/",
    f"amqp://w:{SECRET[:4]}[{SECRET[4:]}@h/",
    f"amqp://w:{SECRET[:4]}]{SECRET[4:]}@h/",
    f"amqp://w:{SECRET[:4]}%{SECRET[4:]}@h/",
    f"amqp://w:{SECRET[:4]} {SECRET[4:]}@h/",
    f"amqp://w:{SECRET[:4]}\\{SECRET[4:]}@h/",
    f"amqp://w:{SECRET[:4]},{SECRET[4:]}@h/",
    f"amqp://w:{SECRET}@h:70000/",
    f"amqp://w:{SECRET}@h:text/",
    f"amqp://w:{SECRET}@[::1",
    f"amqp://w:{SECRET}@[::1/",
    f"amqp://w:{SECRET}@/",
    f"amqp://w:{SECRET}@:5672",
    f"amqp://w:{SECRET}@h/a/b",
    f"amqp://w:{SECRET}@h/?heartbeat=abc",
    f"amqp://w:{SECRET}@h/?timeout={SECRET}",
    f"amqp://w:{SECRET}@h/?unknown={SECRET}",
    f"amqps://w:{SECRET}@h/?no_verify_ssl=perhaps",
    f"amqps://w:{SECRET}@h/?cadata={SECRET}!",
    f"http://w:{SECRET}@h/",
    f"w:{SECRET}@h",
    f"amqp://ok,amqp://w:{SECRET}@h:99999,amqp://ok",
]
TRACING = [
    {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://u:{SECRET[:4]}/{SECRET[4:]}@h"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1"},
    {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization {SECRET}"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT": SECRET},
    {"OTEL_EXPORTER_OTLP_COMPRESSION": SECRET},
    {"OTEL_EXPORTER_OTLP_CERTIFICATE": f"/no/{SECRET}"},
    {"OTEL_EXPORTER_OTLP_CLIENT_KEY": f"/no/{SECRET}"},
    {"OTEL_TRACES_SAMPLER": SECRET},
    {"OTEL_TRACES_SAMPLER_ARG": SECRET, "OTEL_TRACES_SAMPLER": "traceidratio"},
    {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096"},
    {"OTEL_BSP_MAX_QUEUE_SIZE": "0"},
    {"OTEL_BSP_SCHEDULE_DELAY": SECRET},
    {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": SECRET},
    {"OTEL_PROPAGATORS": SECRET},
    {"OTEL_RESOURCE_ATTRIBUTES": SECRET},
]


async def run(module: str, *arguments: str, **env: str) -> tuple[int | None, str]:
    """Start one, and return how it ended and all that it wrote."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("WARREN_", "OTEL_", "PORT"))
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        env=clean | {"WARREN_GATEWAY_AUTH": "anonymous"} | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), stretched(30))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode()


def parts(secret: str) -> list[str]:
    return [secret[at : at + 3] for at in range(len(secret) - 2)]


def told(said: str, *names: str) -> None:
    """Each variable is named, nothing is a traceback, and no three characters of the secret are there."""
    for name in names:
        assert f"  {name}" in said, said
    assert "Traceback" not in said
    assert [part for part in parts(SECRET) if part in said] == []


@pytest.mark.parametrize("url", ADDRESSES, ids=[str(number) for number in range(len(ADDRESSES))])
async def test_a_wrong_broker_address_ends_a_service_with_a_hint(url: str):
    """With 2, the variable, and the characters that are to be escaped."""
    code, said = await run(MODULES[ADDRESSES.index(url) % 2], **{BROKER: url})
    assert code == 2
    told(said, BROKER)
    assert "%2F" in said


@pytest.mark.parametrize(
    "env", TRACING, ids=[next(iter(env)).removeprefix("OTEL_") + f"-{n}" for n, env in enumerate(TRACING)]
)
async def test_a_wrong_standard_variable_ends_a_service(env: dict[str, str]):
    """Before OpenTelemetry reads it."""
    code, said = await run(MODULES[TRACING.index(env) % 2], **{"OTEL_TRACES_EXPORTER": "otlp", **env})
    assert code == 2
    told(said, next(iter(env)))


@pytest.mark.parametrize("module", MODULES)
async def test_all_problems_come_in_one_go(module: str):
    """Addresses, standard variables, numbers, keys, files and lists."""
    env = {
        BROKER: ADDRESSES[0],
        "WARREN_SHARDS": "many",
        "WARREN_PREFIX": "a b",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://u:{SECRET[:4]}/{SECRET[4:]}@h",
        "OTEL_EXPORTER_OTLP_HEADERS": f"a={SECRET},{SECRET}",
        "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "x",
        "OTEL_TRACES_SAMPLER": "sometimes",
    }
    own = {
        "gateway": {
            "WARREN_GATEWAY_PORT": "x",
            "WARREN_GATEWAY_HOST": "[::]",
            "WARREN_GATEWAY_JWT_SECRET": SECRET,
            "WARREN_GATEWAY_JWKS": f"https://u:{SECRET[:4]}/{SECRET[4:]}@h/keys",
            "WARREN_GATEWAY_TRUSTED_PROXIES": "10.0.0.1/8",
            "WARREN_GATEWAY_ORIGINS": "app.example",
            "WARREN_NAMESPACES_FILE": "/no/such.yaml",
        },
        "router": {
            "WARREN_ROUTER_INTERNAL_PORT": "70000",
            "WARREN_ROUTER_INTERNAL_HOST": "http://h",
            "WARREN_ROUTER_EVENTS": "all",
        },
        "embedded": {"PORT": "x", "WARREN_GATEWAY_JWT_PUBLIC_KEY": SECRET, "WARREN_ROUTER_PREFETCH": "0"},
    }[module]
    code, said = await run(module, **env, **own)
    assert code == 2
    told(said, *env, *own)


@pytest.mark.parametrize("module", MODULES[:2])
async def test_settings_are_printed_without_credentials(module: str):
    """Also where what is printed is wrong."""
    code, said = await run(
        module,
        "--settings",
        WARREN_AMQP_URL=ADDRESSES[0],
        WARREN_GATEWAY_JWT_SECRET=SECRET,
        WARREN_GATEWAY_JWKS=f"https://u:{SECRET}@h/keys",
    )
    assert code == 2
    told(said, BROKER)
    assert f"{BROKER}=***" in said


async def test_a_password_that_is_escaped_is_no_problem_and_never_logged():
    """The process lives, looks for its broker, and says which variable names it."""
    env = {
        BROKER: "amqp://w:" + SECRET[:4] + "%2F" + SECRET[4:] + "@no-such-host.invalid/",
        "WARREN_GATEWAY_PORT": "0",
        "WARREN_GATEWAY_INTERNAL_PORT": "0",
        "WARREN_GATEWAY_HOST": "127.0.0.1",
        "WARREN_GATEWAY_INTERNAL_HOST": "127.0.0.1",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WARREN_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env=clean | {"WARREN_GATEWAY_AUTH": "anonymous"} | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(stretched(30)):
            while "To mend" not in said:
                said += (await process.stdout.readline()).decode()
    finally:
        process.terminate()
        said += (await process.communicate())[0].decode()
    assert process.returncode == 0
    assert "no such host as 'no-such-host.invalid' is known here: mend the host in WARREN_AMQP_URL" in said
    assert "Traceback" not in said
    assert [part for part in parts(SECRET) if part in said] == []
