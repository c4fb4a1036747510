"""What a cluster or its people ask for besides: users of the cluster's choice, both families, labels and
registries for all, more objects.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from scripts.chart.helm import CHART, RenderFailed, render
from tests.chart.charts import (
    EVERYTHING,
    EXTERNAL,
    VALUES,
    Object,
    chart,
    container,
    environment,
    found,
    names,
    one,
    pod_specs,
)

from warren import __version__, namespaces

CI = CHART / "ci"
OPENSHIFT = CI / "openshift-values.yaml"
TRIAL = CI / "trial-values.yaml"
EVERY = pytest.mark.parametrize("values", VALUES, ids=names(VALUES))
BOTH = pytest.mark.parametrize("component", ["gateway", "router"])


def test_openshift_chooses_users_and_groups() -> None:
    """With null for all three no pod names a user or a group, RabbitMQ's and those of the tests neither; all
    else stays.
    """
    for name, spec in pod_specs(chart(OPENSHIFT)):
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, name


@pytest.mark.parametrize("left_out", ["runAsUser", "runAsGroup", "fsGroup"])
def test_each_of_them_can_be_left_out_alone(left_out: str) -> None:
    """Null for one leaves the other two."""
    rendered = chart(EXTERNAL, f"podSecurityContext.{left_out}=null")
    for _, spec in pod_specs(rendered):
        given = {"runAsUser", "runAsGroup", "fsGroup"} & spec["securityContext"].keys()
        assert given == {"runAsUser", "runAsGroup", "fsGroup"} - {left_out}


def test_nobody_is_root() -> None:
    """A user or a group of 0 is refused."""
    for path in ("podSecurityContext.runAsUser", "podSecurityContext.fsGroup", "rabbitmq.trial.userId"):
        with pytest.raises(RenderFailed, match=path.replace(".", "/")):
            render([EXTERNAL], [f"{path}=0"])


@BOTH
@pytest.mark.parametrize("host", ["", "INTERNAL_"])
def test_where_pods_listen_is_not_the_charts(component: str, host: str) -> None:
    """Pods listen on both families by themselves; an address can be set, since the chart sets none."""
    name = f"WARREN_{component.upper()}_{host}HOST"
    assert name not in environment(chart(EXTERNAL), component)
    if name != "WARREN_ROUTER_HOST":  # a router has the internal port alone
        assert (
            environment(chart(EXTERNAL, f'{component}.settings={{"{name}":"::"}}'), component)[name] == "::"
        )


def test_what_is_refused_as_the_charts_is_set_by_the_chart() -> None:
    """No variable is refused as "set by the chart" that the chart never sets, by itself or by a file."""
    set_somewhere = {
        name
        for values in VALUES
        for component in ("gateway", "router")
        for name in environment(chart(values), component)
    }
    set_somewhere |= {name.removesuffix("_FILE") for name in set_somewhere}
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    reserved = helpers.partition('{{- define "warren.reserved" -}}')[2].partition("{{- end -}}")[0].split()
    assert len(reserved) > 20
    assert set(reserved) <= set_somewhere


def test_services_have_the_families_that_are_asked_for() -> None:
    """All Services, the headless ones too, have them; by default the cluster decides."""
    for values, policy, families in (
        (EVERYTHING, "PreferDualStack", ["IPv6", "IPv4"]),
        (OPENSHIFT, "SingleStack", ["IPv6"]),
        (EXTERNAL, None, None),
    ):
        services = found(chart(values), "Service")
        assert len(services) >= 3
        for each in services:
            assert each["spec"].get("ipFamilyPolicy") == policy
            assert each["spec"].get("ipFamilies") == families


def test_statistics_are_inside_alone() -> None:
    """The chart shows no stranger the pods' memory, unless asked to."""
    assert environment(chart(EXTERNAL), "gateway")["WARREN_GATEWAY_STATS"] == "internal"
    assert (
        environment(chart(EXTERNAL, 'gateway.stats="external"'), "gateway")["WARREN_GATEWAY_STATS"]
        == "external"
    )


def selectors(rendered: tuple[Object, ...]) -> list[tuple[str, object]]:
    """Return each workload's selector, which Kubernetes lets nobody change, with its component."""
    kinds = ("Deployment", "StatefulSet")
    chosen = [each for each in rendered if each["kind"] in kinds]
    return sorted(
        (each["metadata"]["labels"]["app.kubernetes.io/component"], str(each["spec"]["selector"]))
        for each in chosen
    )


@pytest.mark.parametrize(
    "given",
    [
        'nameOverride="other"',
        'fullnameOverride="other"',
        'commonLabels={"a":"b"}',
        'gateway.podLabels={"a":"b"}',
        'image.tag="2"',
    ],
)
def test_no_value_changes_a_selector(given: str) -> None:
    """A Deployment's selector is immutable: whatever an upgrade changes, it stays."""
    assert selectors(chart(TRIAL, given)) == selectors(chart(TRIAL))


@pytest.mark.parametrize(
    "path", ["commonLabels", "gateway.podLabels", "router.podLabels", "monitoring.labels"]
)
@pytest.mark.parametrize("label", ["name", "instance", "component"])
def test_labels_that_pods_are_found_by_are_the_charts(path: str, label: str) -> None:
    """A label of the user's that would take pods from their selector is refused."""
    with pytest.raises(RenderFailed, match=path.replace(".", "/")):
        render([EXTERNAL], [f'{path}={{"app.kubernetes.io/{label}":"x"}}'])


def test_labels_and_annotations_for_all() -> None:
    """Every object of the chart's has them, pods have the labels, and what an object says itself
    goes before.
    """
    rendered = chart(EVERYTHING)
    own = [
        each
        for each in rendered
        if each["metadata"]["name"] not in ("text-warren",) and "labels" in each["metadata"]
    ]
    assert len(own) >= len(rendered) - 2  # the extra objects are the user's own
    for each in own:
        assert each["metadata"]["labels"]["example.com/owner"] == "chat", each["metadata"]["name"]
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "everything"
        assert each["metadata"]["annotations"]["example.com/contact"] == "#chat", each["metadata"]["name"]
        if "template" in each.get("spec", {}):
            assert each["spec"]["template"]["metadata"]["labels"]["example.com/owner"] == "chat"
    sets = ('commonAnnotations={"a":"all"}', 'gateway.service.annotations={"a":"own"}')
    rendered = chart(EXTERNAL, *sets)
    assert one(rendered, "Service", "-gateway")["metadata"]["annotations"] == {"a": "own"}
    assert one(rendered, "Service", "-router")["metadata"]["annotations"] == {"a": "all"}


def test_volume_claims_have_no_labels_of_the_users() -> None:
    """A claim's template can't be changed either."""
    [claim] = one(chart(EVERYTHING), "StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["metadata"] == {"name": "data"}


def test_a_registry_for_all_images() -> None:
    """global.imageRegistry goes before image.registry, and before the registry of images that are named
    whole.
    """
    images = {name: spec["containers"][0]["image"] for name, spec in pod_specs(chart(OPENSHIFT))}
    assert set(images.values()) == {
        f"mirror.example.com:5000/warren/warren-gateway:{__version__}",
        f"mirror.example.com:5000/warren/warren-router:{__version__}",
        "mirror.example.com:5000/warren/library/rabbitmq:4.1.4",
    }
    both = chart(EXTERNAL, 'global.imageRegistry="a.example/"', 'image.registry="b.example"')
    assert container(both, "router")["image"] == f"a.example/warren-router:{__version__}"
    for given, expected in (
        ("rabbitmq:4", "a.example/rabbitmq:4"),
        ("me/rabbitmq:4", "a.example/me/rabbitmq:4"),
    ):
        rendered = chart(TRIAL, 'global.imageRegistry="a.example"', f'rabbitmq.trial.image="{given}"')
        assert one(rendered, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["image"] == expected
    operated = chart(
        CI / "operator-values.yaml",
        'global.imageRegistry="a.example"',
        'rabbitmq.operator.image="docker.io/library/rabbitmq:4"',
    )
    assert one(operated, "RabbitmqCluster")["spec"]["image"] == "a.example/library/rabbitmq:4"


def test_a_broker_node_that_stands_still_is_soon_believed_to() -> None:
    """By its own cluster's nodes, whatever else is configured; Erlang's default is a minute of silence."""
    own = one(chart(CI / "operator-values.yaml"), "RabbitmqCluster")["spec"]["rabbitmq"]
    assert own["advancedConfig"] == "[{kernel, [{net_ticktime, 10}]}].\n"
    assert "consumer_timeout = 1800000" in own["additionalConfig"]
    bare = one(chart(CI / "operator-values.yaml", "rabbitmq.operator.additionalConfig="), "RabbitmqCluster")
    assert set(bare["spec"]["rabbitmq"]) == {"advancedConfig"}


def test_secrets_for_registries_are_joined() -> None:
    """Those for all and the chart's own are given to every pod, each once, whether they are names
    or objects.
    """
    for name, spec in pod_specs(chart(EVERYTHING)):
        assert spec["imagePullSecrets"] == [{"name": "everywhere"}, {"name": "registry"}], name


@BOTH
def test_more_environment_from_elsewhere(component: str) -> None:
    """Whole ConfigMaps and secrets become environment."""
    expected = {
        "gateway": [{"prefix": "OTEL_", "configMapRef": {"name": "otel"}}],
        "router": [{"secretRef": {"name": "more", "optional": True}}],
    }
    assert container(chart(EVERYTHING), component)["envFrom"] == expected[component]
    assert "envFrom" not in container(chart(EXTERNAL), component)


def test_more_objects() -> None:
    """Objects of the user's are rendered, with templates in them."""
    more = one(chart(EVERYTHING), "ConfigMap", "-more")
    assert more["data"] == {"release": "warren"}
    assert one(chart(EVERYTHING), "ConfigMap", "text-warren")["data"] == {}


@BOTH
def test_a_trials_password_that_changes_makes_new_pods(component: str) -> None:
    """The pods carry a checksum of the secret that the chart makes: each render without a cluster makes a new
    password, and so new pods; the broker's own pod carries one of the same.
    """

    def checksums(values: Path) -> tuple[str, str]:
        rendered = chart(values)
        spec = one(rendered, "Deployment", f"-{component}")["spec"]["template"]["metadata"]["annotations"]
        trial = found(rendered, "StatefulSet")
        broker = trial[0]["spec"]["template"]["metadata"]["annotations"]["checksum/config"] if trial else ""
        return spec["checksum/secrets"], broker

    first, again = checksums(TRIAL), checksums(CHART / "values-trial.yaml")
    assert first[0] != again[0]
    assert first[1] != again[1]
    assert checksums(EXTERNAL)[0] == checksums(CHART / "values-prod.yaml")[0]  # no cluster, so none is seen


def test_one_password_in_one_render() -> None:
    """However many templates ask for it, it is made once: the address, the broker's configuration and the key
    are the same.
    """
    data = one(chart(TRIAL), "Secret")["stringData"]
    assert len(data["password"]) == 32
    assert f":{data['password']}@" in data["url"]
    assert f"default_pass = {data['password']}\n" in data["20-warren.conf"]


MONITORS = ("monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule")


def monitored(cluster: tuple[str, ...] | None) -> set[str]:
    rendered = chart(EVERYTHING, cluster=cluster)
    return {each["kind"] for each in rendered if each["apiVersion"].startswith("monitoring.coreos.com/")}


def test_monitors_are_made_where_the_cluster_knows_them() -> None:
    """A cluster gets the kinds that it knows; without one (`helm template`) all that was asked for is
    rendered.
    """
    others = ("gateway.networking.k8s.io/v1/HTTPRoute", "keda.sh/v1alpha1/ScaledObject")
    assert monitored(None) == {"PodMonitor", "PrometheusRule"}
    assert monitored(others) == set()
    assert monitored((*others, *MONITORS)) == {"PodMonitor", "PrometheusRule"}
    assert monitored((*others, MONITORS[0])) == {"PodMonitor"}


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        (
            "gateway-api-values.yaml",
            "gateway.networking.k8s.io/v1/HTTPRoute",
            "gateway.httpRoute: the cluster knows no HTTPRoute",
        ),
        (
            "keda-values.yaml",
            "keda.sh/v1alpha1/ScaledObject",
            "gateway.autoscaling.kind=keda: the cluster knows no ScaledObject",
        ),
        (
            "operator-values.yaml",
            "rabbitmq.com/v1beta1/RabbitmqCluster",
            "rabbitmq.mode=operator: the cluster knows no RabbitmqCluster",
        ),
    ],
)
def test_what_clients_depend_on_is_refused_where_it_is_not_known(values: str, kind: str, says: str) -> None:
    """A route, an autoscaler or a broker that the cluster can't make fails the render and says what to
    install.
    """
    with pytest.raises(RenderFailed, match=says):
        chart(CI / values, cluster=())
    assert kind.rpartition("/")[2] in {each["kind"] for each in chart(CI / values, cluster=(kind,))}


def test_the_rules_are_those_of_the_repository() -> None:
    """The PrometheusRule's groups are deploy/observability/alerts.yaml, each runbook's address under the one
    that is given.
    """
    own = yaml.safe_load((CHART.parents[1] / "observability" / "alerts.yaml").read_text())
    rule = one(chart(EVERYTHING), "PrometheusRule")
    assert rule["spec"] == own
    # by which the Prometheus finds what it scrapes
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert rule["metadata"]["labels"]["team"] == "chat"
    absolute = one(chart(CI / "operator-values.yaml"), "PrometheusRule")["spec"]
    addresses = [
        alert["annotations"]["runbook_url"] for group in absolute["groups"] for alert in group["rules"]
    ]
    assert len(addresses) >= 15
    assert all(
        address.startswith("https://wiki.example.com/warren/operations.md#warren") for address in addresses
    )
    assert one(chart(EXTERNAL, "monitoring.rules.enabled=true"), "PrometheusRule")["spec"] == own


def test_each_dashboard_is_a_config_map_for_the_sidecar() -> None:
    """Each file of deploy/observability/dashboards is there, as Grafana's sidecar looks for it."""
    maps = [
        each
        for each in found(chart(CI / "operator-values.yaml"), "ConfigMap")
        if "-dashboard-" in each["metadata"]["name"]
    ]
    files = sorted((CHART.parents[1] / "observability" / "dashboards").glob("*.json"))
    assert len(maps) == len(files) >= 4
    shown = {}
    for each in maps:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"]["grafana_folder"] == "Warren"
        shown |= each["data"]
    for path in files:
        assert yaml.safe_load(shown[f"warren-{path.name}"]) == yaml.safe_load(path.read_text())


def test_nobody_reaches_the_internal_ports_by_default() -> None:
    """With a policy only `helm test` gets there, and a Prometheus that was forgotten is asked for."""
    rendered = chart(EXTERNAL, "networkPolicy.enabled=true")
    for component in ("gateway", "router"):
        internal = one(rendered, "NetworkPolicy", f"-{component}")["spec"]["ingress"][-1]
        [tests] = internal["from"]
        assert tests["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    with pytest.raises(
        RenderFailed, match=r"networkPolicy\.internalFrom: monitoring\.kind=PodMonitor is set"
    ):
        render([EXTERNAL], ["networkPolicy.enabled=true", 'monitoring.kind="PodMonitor"'])


@EVERY
def test_no_peer_is_the_whole_cluster(values: Path) -> None:
    """No policy of any values file lets all namespaces in."""
    for each in found(chart(values), "NetworkPolicy"):
        for rule in each["spec"]["ingress"]:
            assert {"namespaceSelector": {}} not in rule.get("from", [])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ('{"name":"a","pattern":"a:*","includ_sender":true}', "includ_sender"),
        ('{"name":"a","pattern":"a:*","rate":{"cuont":1}}', "cuont"),
        ('{"name":"a","pattern":"a:*","history":{"ages":1}}', "ages"),
        ('{"name":"a","pattern":"a:*","slow":"drop"}', "slow"),
        ('{"name":"a"}', "pattern"),
        ('{"name":"A","pattern":"a:*"}', "name"),
        ('{"name":"a","pattern":"a:*","presence":"user"}', "presence"),
        ('{"name":"a","pattern":"a:*","presence":{"mode":"users","maxx":1}}', "maxx"),
        ('{"name":"a","pattern":"a:*","presence":{"mode":"users","max":0}}', "max"),
        ('{"name":"a","pattern":"a:*","presence":{"max":10}}', "mode"),
    ],
)
def test_a_slip_in_a_namespace_is_refused(given: str, says: str) -> None:
    """Helm refuses what the pods would end with code 2 for, and names it."""
    with pytest.raises(RenderFailed, match=says):
        render([EXTERNAL], [f"namespaces=[{given}]"])


def test_what_helm_knows_of_namespaces_is_what_the_pods_know() -> None:
    """values.schema.json has the schema that the services have; `make manifests` puts it there."""
    whole = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    for name, part in namespaces.file_schema()["properties"].items():
        assert whole["properties"][name] == part


def test_the_chart_says_who_made_it() -> None:
    """Chart.yaml has what catalogues show."""
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    for field in ("home", "sources", "maintainers", "icon", "keywords", "kubeVersion", "description"):
        assert about[field], field


def test_pusher_apps_are_mounted_and_routed() -> None:
    """Gateways and routers read the same file from a secret, and what routes /ws routes /app too; without the
    secret there is nothing of it.
    """
    rendered = chart(EVERYTHING)
    for component in ("gateway", "router"):
        assert environment(rendered, component)["WARREN_PUSHER_APPS_FILE"] == "/etc/warren/pusher/apps.yaml"
        spec = one(rendered, "Deployment", component)["spec"]["template"]["spec"]
        (volume,) = [each for each in spec["volumes"] if each["name"] == "pusher"]
        assert volume["secret"]["secretName"] == "pusher-apps"
        assert volume["secret"]["items"] == [{"key": "pusher.yaml", "path": "apps.yaml"}]
        assert "WARREN_PUSHER_APPS_FILE" not in environment(chart(EXTERNAL), component)
    more = 'pusher.existingSecret="apps"', "router.api.enabled=true"
    for values, kind in (("ingress-values.yaml", "Ingress"), ("gateway-api-values.yaml", "HTTPRoute")):
        assert "/app" in json.dumps(one(chart(CI / values, *more), kind)["spec"]["rules"])
        assert "/app" not in json.dumps(one(chart(CI / values), kind)["spec"]["rules"])


def test_pusher_apps_without_an_api_for_backends_are_refused() -> None:
    """They could trigger nothing."""
    with pytest.raises(RenderFailed, match=r"set router\.api\.enabled"):
        chart(EXTERNAL, 'pusher.existingSecret="apps"')
