"""docker-compose.yml and what it mounts: that it fits the services, and that the small servers in it do their
work.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rabbit_nodes.child import Child
from tests.faults.balancer import program
from tests.support.eventually import eventually
from tests.support.ports import free_port

from gateway.settings import GatewaySettings
from router.settings import RouterSettings
from warren.settings import describe, read

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SETTINGS = {"gateway": GatewaySettings, "router": RouterSettings}


def variables(service: str) -> dict[str, str]:
    """Return a service's environment with every ``${NAME:-default}`` at its default, and each mounted file
    where it lies in the checkout.
    """
    mounts = [mount.split(":") for mount in SERVICES[service].get("volumes", ())]
    mounted = {target: str(ROOT / source) for source, target, *_ in mounts if source.startswith("./")}
    env = {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        for name, value in SERVICES[service]["environment"].items()
    }
    return {name: mounted.get(value, value) for name, value in env.items()}


@pytest.mark.parametrize("service", ["gateway", "router"])
def test_the_environment_is_one_that_the_service_takes(service: str) -> None:
    """Each WARREN variable is known to the service, by itself or as the file of one, and its settings are read
    from them without a problem.
    """
    env = variables(service)
    known = {variable.name for variable in describe(SETTINGS[service])}
    known |= {f"{name}_FILE" for name in known}
    assert {name for name in env if name.startswith("WARREN_")} <= known
    settings = read(SETTINGS[service], env)
    assert settings.bus.amqp_urls == ("amqp://warren:warren@rabbitmq:5672/",)


@pytest.mark.parametrize("service", ["gateway", "router"])
def test_a_pod_gets_the_time_that_it_takes_to_go(service: str) -> None:
    """The grace period is longer than the service's own deadline and the closing of its connections."""
    settings = read(SETTINGS[service], variables(service))
    deadline_ms = (
        settings.times.drain_deadline_ms + 5_000
        if isinstance(settings, GatewaySettings)
        else settings.takeover.stop_deadline_ms
    )
    assert int(SERVICES[service]["stop_grace_period"].removesuffix("s")) * 1_000 > deadline_ms


@pytest.mark.parametrize("service", ["gateway", "router"])
def test_the_services_are_confined_and_doubled(service: str) -> None:
    """They run read-only and without capabilities, two of each, each built as itself, healthy when
    they are ready.
    """
    described = SERVICES[service]
    assert described["read_only"] is True
    assert described["cap_drop"] == ["ALL"]
    assert described["deploy"]["replicas"] == 2
    assert described["build"] == {"context": ".", "args": {"SERVICE": service}}
    assert (ROOT / "Dockerfile").is_file()
    port = read(SETTINGS[service], variables(service)).probes.internal_port
    assert f"127.0.0.1:{port}/readyz" in described["healthcheck"]["test"][-1]


def test_the_page_can_show_who_is_there_and_who_has_seen_what() -> None:
    """Both services have the same namespaces, which tell it in the page's room."""
    for service in SETTINGS:
        policy = read(SETTINGS[service], variables(service)).namespaces.namespaces.policy("chat:lobby")
        assert policy.presence.mode == "users"
        assert policy.presence.watch == "anyone"
        assert policy.receipts == "seen"


def test_the_small_set_is_the_default() -> None:
    """Without a profile there is what a chat needs, and nothing of it waits for what is not there."""
    small = {name for name, service in SERVICES.items() if not service.get("profiles")}
    assert small == {"rabbitmq", "gateway", "router", "balancer", "page"}
    for name in small:
        assert set(SERVICES[name].get("depends_on", {})) <= small
    assert variables("gateway")["OTEL_TRACES_EXPORTER"] == "none"


def test_every_image_is_pinned_and_every_port_is_this_machines() -> None:
    """No image floats, and no port is open to the network: anybody may connect under any name."""
    for name, service in SERVICES.items():
        tag = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", service["image"]).rpartition(":")[2]
        assert tag not in ("", "latest"), name
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_everything_that_is_mounted_exists() -> None:
    """Each file that is mounted from the checkout is there, and read-only; a volume has a name."""
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            source, _, rest = mount.partition(":")
            if source.startswith("./"):
                assert (ROOT / source).exists(), f"{name}: {source}"
                assert rest.endswith(":ro"), f"{name}: {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"


def test_the_http_api_is_served_with_the_key_that_is_shown() -> None:
    """Behind the balancer, on the port that the routers have it on, with the key of the command on top."""
    settings = read(RouterSettings, variables("router"))
    assert settings.api.keys_file.startswith(str(ROOT))
    [key] = yaml.safe_load(Path(settings.api.keys_file).read_text())["keys"]
    shown = re.search(r"Authorization: Bearer ([^']+)'", (ROOT / "docker-compose.yml").read_text())
    assert shown is not None
    assert hashlib.sha256(shown[1].encode()).hexdigest() == key["sha256"]
    assert f"router:{settings.api.port} " in (ROOT / "deploy/compose/haproxy.cfg").read_text()
    assert any(port.endswith(f":{settings.api.port}") for port in SERVICES["balancer"]["ports"])


def test_prometheus_finds_both_services() -> None:
    """It asks the name of each service for its pods, at the port where that has its metrics."""
    scrape = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text())["scrape_configs"]
    found = {each["names"][0]: each["port"] for job in scrape for each in job.get("dns_sd_configs", ())}
    assert found == {
        service: read(SETTINGS[service], variables(service)).probes.internal_port for service in ("gateway", "router")
    }


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """Serve the demo page by a real nginx with the file that compose mounts, its folders those of the
    checkout; give the address.
    """
    nginx = program("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed: scripts/dev/need nginx")
    port = free_port()
    text = (ROOT / "deploy/compose/page.conf").read_text().replace("listen 80;", f"listen 127.0.0.1:{port};")
    for mount in SERVICES["page"]["volumes"]:
        source, target, _ = mount.split(":")
        text = text.replace(target, str((ROOT / source).resolve()))
    # nginx's workers are somebody who may not look into every checkout: it stays who we are
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    types = "types { text/html html; text/css css; text/javascript js; image/svg+xml svg; }"
    (tmp_path / "nginx.conf").write_text(f"events {{}} http {{ access_log off; {paths} {types} {text} }}")
    options = f"daemon off; master_process off; pid {tmp_path}/pid; error_log stderr;"
    with (tmp_path / "log").open("wb") as output:
        child = Child(
            [nginx, "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-g", options],
            env={"PATH": "/usr/bin:/bin"},
            output=output,
        )
    yield f"http://127.0.0.1:{port}"
    child.kill()


def fetch(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, "", ""


async def test_the_page_is_served_with_all_that_it_names(page: str) -> None:
    """Every file that the page and its scripts name comes with its type, and the gateways' address is the
    page's own.
    """

    def listens() -> bool:
        try:
            return bool(fetch(f"{page}/"))
        except OSError:
            return False

    await eventually(listens)
    status, kind, text = fetch(f"{page}/")
    assert (status, kind) == (200, "text/html")
    wanted = set(re.findall(r'(?:src|href)="(?!https?:|#|data:)([^"]+)"', text))
    assert wanted
    seen: dict[str, str] = {}
    queue = [f"/{name.lstrip('/')}" for name in wanted]
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        status, kind, text = fetch(page + path)
        assert status == 200, path
        seen[path] = kind
        if path.endswith(".js"):
            folder = path.rpartition("/")[0]
            for name in re.findall(r'(?:from|import)\s+"(\.[^"]+)"', text):
                queue.append(re.sub(r"/[^/]+/\.\./|/\./", "/", f"{folder}/{name}"))
    assert "/js/warren.js" in seen
    assert set(seen.values()) <= {"text/javascript", "text/css", "image/svg+xml"}
    host = page.removeprefix("http://")
    config = f'{{"gateways":["{host}"],"notify":false}}'
    assert fetch(f"{page}/demo/config.json") == (200, "application/json", config)
    form = urllib.request.Request(f"{page}/demo/notify", b"{}", {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(urllib.request.urlopen, form, timeout=5)
    assert (refused.value.code, refused.value.headers["Content-Type"]) == (404, "application/json")
    assert "make run" in json.load(refused.value)["error"]


def test_the_tools_take_every_file() -> None:
    """Each file for deployment is taken by the program that it is for, where that is installed."""
    done = subprocess.run([ROOT / "scripts/deploy/check"], capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok" in done.stdout
