"""What runs: the environment is one that the services take, and pods are hardened, found and spread as they
should be.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.chart.charts import (
    CI,
    EVERYTHING,
    EXTERNAL,
    VALUES,
    chart,
    container,
    environment,
    found,
    names,
    one,
    pod_specs,
)

from gateway.settings import GatewaySettings
from router.settings import RouterSettings
from warren.namespaces import Namespaces
from warren.services import ServicePolicy
from warren.settings import read

EVERY = pytest.mark.parametrize("values", VALUES, ids=names(VALUES))
BOTH = pytest.mark.parametrize("component", ["gateway", "router"])
CONTENTS = {
    "WARREN_AMQP_URL_FILE": "amqps://warren:secret@broker:5671/v",
    "WARREN_AMQP_CA_FILE": "the certificate of an authority",
    "WARREN_GATEWAY_JWT_SECRET_FILE": "0123456789abcdef0123456789abcdef",
    "WARREN_GATEWAY_GRANT_KEYS_FILE": "0123456789abcdef0123456789abcdef\n",
    "WARREN_ROUTER_API_KEYS_FILE": "keys: []",
    "WARREN_PUSHER_APPS_FILE": "apps: []",
}


# What the operator's secret holds under a key, where a number will not do.
SECRET = {"host": "broker.default.svc"}


def process_environment(rendered: tuple[dict[str, Any], ...], component: str, folder: Path) -> dict[str, str]:
    """Return what the process in the pod would have: references filled in, mounted files in ``folder``."""
    env: dict[str, str] = {}
    name = one(rendered, "Deployment", f"-{component}")["metadata"]["name"].removesuffix(f"-{component}")
    [config] = [
        each["data"] for each in found(rendered, "ConfigMap") if each["metadata"]["name"] == name
    ] or [{}]
    for name, value in environment(rendered, component).items():
        if isinstance(value, dict):
            key = value.get("secretKeyRef", {}).get("key", "")
            value = (
                value.get("fieldRef", {})
                .get("fieldPath", SECRET.get(key, "5671"))
                .replace("metadata.", "pod-")
            )
        elif name.endswith("_FILE"):
            path = folder / name
            path.write_text(CONTENTS.get(name) or config[Path(value).name])
            value = str(path)
        env[name] = re.sub(r"\$\((\w+)\)", lambda reference: env[reference[1]], value)
    return env


@EVERY
def test_the_services_take_their_environment(values: Path, tmp_path: Path) -> None:
    """Every variable that the chart sets is one that the service knows, with a value that it takes."""
    rendered = chart(values)
    gateway = read(GatewaySettings, process_environment(rendered, "gateway", tmp_path))
    router = read(RouterSettings, process_environment(rendered, "router", tmp_path))
    assert gateway.bus == router.bus
    assert gateway.listen.port == 8080
    assert (gateway.probes.internal_port, router.probes.internal_port) == (9080, 9081)


def test_values_arrive(tmp_path: Path) -> None:
    """What is given in values is what the service reads, large numbers whole and empty lists empty."""
    rendered = chart(EVERYTHING)
    gateway = read(GatewaySettings, process_environment(rendered, "gateway", tmp_path))
    router = read(RouterSettings, process_environment(rendered, "router", tmp_path))
    assert (gateway.limits.connections, gateway.limits.message_bytes) == (1_000_000, 4_194_304)
    assert gateway.rooms == ()
    assert not gateway.listen.deflate
    assert (gateway.auth.jwt_algorithms, gateway.auth.jwt_audience) == (("EdDSA",), ("a", "b"))
    assert "BEGIN PUBLIC KEY" in gateway.auth.jwt_public_key
    assert (gateway.times.drain_ms, gateway.times.drain_deadline_ms) == (120_000, 130_000)
    assert [each.name for each in gateway.namespaces.namespaces.policies][:2] == ["ticker", "chat"]
    assert [each.pattern for each in gateway.namespaces.namespaces.services.policies] == ["orders.*"]
    assert gateway.namespaces.namespaces.connect_hook
    assert gateway.namespaces == router.namespaces
    assert len(gateway.hooks.grant_key_bytes) == 1
    assert router.api.port == 8090
    assert (router.bus.shards, router.bus.prefix, router.log.log_level) == (64, "blue", "debug")
    assert router.events == ()
    assert router.takeover.stop_deadline_ms == 30_000
    assert router.memory.dedup_count == 1_000_000


@EVERY
def test_pods_have_no_rights(values: Path) -> None:
    """Each pod runs as a plain user on a read-only root without capabilities, and gets no token of the API
    server.
    """
    for name, spec in pod_specs(chart(values)):
        pod, [only] = spec["securityContext"], spec["containers"]
        assert pod["runAsNonRoot"] is True, name
        assert pod.get("runAsUser", 1) > 0  # where the cluster chooses it, it is not root either
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()


@EVERY
def test_every_image_is_pinned(values: Path) -> None:
    """No image is without a tag, and none is `latest`."""
    for name, spec in pod_specs(chart(values)):
        for each in spec["containers"]:
            assert re.search(r"[^/]:(?!latest$)[\w.]+$", each["image"]), name


@EVERY
def test_pods_have_requests_and_a_memory_limit(values: Path) -> None:
    """The scheduler knows what a pod needs, and no pod can eat its node."""
    for name, spec in pod_specs(chart(values)):
        for each in spec["containers"]:
            assert each["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in each["resources"]["limits"], name


@EVERY
def test_no_object_names_a_namespace(values: Path) -> None:
    """Objects go where the release goes."""
    assert [each["kind"] for each in chart(values) if "namespace" in each["metadata"]] == []


@EVERY
def test_selectors_find_their_pods_and_no_others(values: Path) -> None:
    """Each Service, budget, policy and monitor selects the pods of one component, by name, instance and
    component.
    """
    rendered = chart(values)
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in rendered
        if each["kind"] in ("Deployment", "StatefulSet")
    }
    services = {each["metadata"]["name"]: each["metadata"]["labels"] for each in found(rendered, "Service")}
    selecting = 0
    for each in rendered:
        spec = each.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector")
        if selector is None:
            continue
        labels = selector.get("matchLabels", selector)
        among = services if each["kind"] == "ServiceMonitor" else pods
        hits = [name for name, own in among.items() if labels.items() <= own.items()]
        assert len(hits) == 1, (each["kind"], each["metadata"]["name"], hits)
        assert each["metadata"]["name"].startswith(hits[0].removesuffix("-internal"))
        selecting += 1
    assert selecting >= 6


@EVERY
def test_what_is_mounted_is_there(values: Path) -> None:
    """Each mount has its volume, and each ConfigMap that a volume names is made by the chart."""
    rendered = chart(values)
    configs = {each["metadata"]["name"] for each in found(rendered, "ConfigMap")}
    for name, spec in pod_specs(rendered):
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        claims = {"data"} if "rabbitmq" in name else set()
        used = {mount["name"] for each in spec["containers"] for mount in each.get("volumeMounts", [])}
        assert used <= volumes.keys() | claims, name
        assert {
            volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume
        } <= configs


@EVERY
def test_secrets_come_from_outside(values: Path) -> None:
    """The chart makes no Secret but that of the trial's own node."""
    rendered = chart(values)
    trial = [each["metadata"]["name"] for each in found(rendered, "StatefulSet")]
    assert [each["metadata"]["name"] for each in found(rendered, "Secret")] == trial


def test_services_without_namespaces_are_configured_too() -> None:
    """Each list makes the file, and the file has what was given alone."""
    given = 'services=[{"pattern":"orders.*","call":"token"}]'
    rendered = chart(EXTERNAL, given)
    [config] = found(rendered, "ConfigMap")
    namespaces = Namespaces.parse(config["data"]["namespaces.yaml"])
    assert namespaces.policies == ()
    assert namespaces.services.policies == (ServicePolicy("orders.*", "token"),)
    for component in ("gateway", "router"):
        assert "WARREN_NAMESPACES_FILE" in environment(rendered, component)
    [config] = found(chart(EXTERNAL, 'hooks=["connect"]'), "ConfigMap")
    assert Namespaces.parse(config["data"]["namespaces.yaml"]) == Namespaces(connect_hook=True)
    assert found(chart(EXTERNAL), "ConfigMap") == []


def test_the_http_api_has_a_service_of_its_own() -> None:
    """It leads to the routers' port for it, which is not the internal one; without it there is neither."""
    rendered = chart(EVERYTHING)
    service = one(rendered, "Service", "-router-api")
    assert service["spec"]["ports"] == [
        {"name": "api", "port": 80, "targetPort": "api", "protocol": "TCP", "appProtocol": "http"}
    ]
    assert service["metadata"]["annotations"]["example.com/note"] == "yes"
    assert {"name": "api", "containerPort": 8090} in container(rendered, "router")["ports"]
    assert environment(rendered, "router")["WARREN_ROUTER_API_KEYS_FILE"] == "/etc/warren/api/keys.yaml"
    assert environment(rendered, "router")["WARREN_ROUTER_API_ADMIN"] == "true"
    off = chart(EVERYTHING, "router.api.admin=false")
    assert environment(off, "router")["WARREN_ROUTER_API_ADMIN"] == "false"
    assert found(chart(EXTERNAL), "Service", "-router-api") == []
    assert [port["name"] for port in container(chart(EXTERNAL), "router")["ports"]] == ["internal"]
    assert not [name for name in environment(chart(EXTERNAL), "router") if "_API_" in name]


def test_the_keys_of_the_http_api_are_read_where_they_change() -> None:
    """They are mounted as a folder, which Kubernetes keeps up to date, and make no new pods; the gateways'
    keys for grants are read at the start.
    """
    sets = ["router.api.enabled=true", 'router.api.existingSecret="api-keys"']
    spec = one(chart(EXTERNAL, *sets), "Deployment", "-router")["spec"]["template"]["spec"]
    volumes = {each["name"]: each for each in spec["volumes"]}
    assert volumes["api"]["secret"] == {
        "secretName": "api-keys",
        "items": [{"key": "keys.yaml", "path": "keys.yaml"}],
    }
    [mount] = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "api"]
    assert mount == {"name": "api", "mountPath": "/etc/warren/api", "readOnly": True}
    gateway = chart(EXTERNAL, 'gateway.grants.existingSecret="grants"')
    assert environment(gateway, "gateway")["WARREN_GATEWAY_GRANT_KEYS_FILE"] == "/etc/warren/grants/keys"
    assert "WARREN_GATEWAY_GRANT_KEYS_FILE" not in environment(gateway, "router")


@BOTH
def test_liveness_does_not_ask_for_the_broker(component: str) -> None:
    """A broker that is away takes pods out of service and restarts none: liveness asks /healthz, readiness
    /readyz, inside only.
    """
    only = container(chart(EXTERNAL), component)
    assert only["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "internal"}
    assert only["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "internal"}


def test_new_pods_come_before_old_ones_go() -> None:
    """Both rollouts surge, and take none away before."""
    for each in found(chart(EXTERNAL), "Deployment"):
        strategy = each["spec"]["strategy"]
        assert strategy["rollingUpdate"]["maxUnavailable"] == 0
        assert strategy["rollingUpdate"]["maxSurge"]


@BOTH
def test_a_changed_configuration_makes_new_pods(component: str) -> None:
    """The pods' annotation changes with the namespaces, which they read once."""

    def checksum(*sets: str) -> str:
        spec = one(chart(EXTERNAL, *sets), "Deployment", f"-{component}")["spec"]
        return spec["template"]["metadata"]["annotations"]["checksum/config"]

    changed = 'namespaces=[{"name":"a","pattern":"a:*"}]'
    services, hooks = 'services=[{"pattern":"a.*"}]', 'hooks=["connect"]'
    assert len({checksum(), checksum(changed), checksum(services), checksum(hooks)}) == 4
    assert checksum(changed) == checksum(changed, "gateway.replicas=3")


@BOTH
def test_an_autoscaled_deployment_names_no_replicas(component: str) -> None:
    """With an autoscaler an upgrade must not set the number of gateways back; routers keep theirs."""
    rendered = chart(EXTERNAL, 'gateway.autoscaling.kind="hpa"')
    replicas = one(rendered, "Deployment", f"-{component}")["spec"].get("replicas")
    assert replicas == (None if component == "gateway" else 2)


@pytest.mark.parametrize("length", [1, 17, 23, 24, 53])
def test_ids_fit_whatever_the_release_is_called(length: int) -> None:
    """An id begins with the pod's name only where that is sure to fit into 48 characters, and no object's
    name is too long.
    """
    rendered = chart(EXTERNAL, release="r" * length)
    name = one(rendered, "Deployment", "-gateway")["metadata"]["name"]
    longest = len(name) + len("-1234567890-abcde")
    assert ("WARREN_GATEWAY_ID" in environment(rendered, "gateway")) == (longest <= 48)
    assert max(len(each["metadata"]["name"]) for each in rendered) <= 63


def test_two_releases_share_nothing() -> None:
    """Two releases in one namespace have no object's name in common, and neither selects the other's pods."""
    one_of_them, other = chart(EXTERNAL, release="blue"), chart(EXTERNAL, release="green")
    identities = [
        {(each["kind"], each["metadata"]["name"]) for each in rendered} for rendered in (one_of_them, other)
    ]
    assert not identities[0] & identities[1]
    selector = one(one_of_them, "Service", "-gateway")["spec"]["selector"]
    labels = one(other, "Deployment", "-gateway")["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()


def test_the_release_name_is_not_doubled() -> None:
    """A release called warren has objects warren-…, another has its name before."""
    assert one(chart(EXTERNAL), "Deployment", "-router")["metadata"]["name"] == "warren-router"
    assert one(chart(EXTERNAL, release="x"), "Deployment", "-router")["metadata"]["name"] == "x-warren-router"


def test_images_follow_the_values() -> None:
    """Registry and tag go for both images and for the tests' pods."""
    images = {
        spec["containers"][0]["image"]
        for name, spec in pod_specs(chart(EVERYTHING))
        if "rabbitmq" not in name
    }
    assert images == {
        "registry.example.com/team/warren-gateway:1.2.3",
        "registry.example.com/team/warren-router:1.2.3",
    }


def test_everything_in_ci_is_rendered() -> None:
    """There are values files for each way to run a broker."""
    assert {path.stem.removesuffix("-values") for path in CI} >= {"trial", "external", "operator"}
