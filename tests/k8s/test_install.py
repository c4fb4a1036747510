"""The chart and the plain manifests on a cluster: they come up beside each kind of broker, carry messages,
and leave nothing behind.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.chart.helm import CHART
from tests.k8s.balancers import haproxy, nginx
from tests.k8s.cluster import ROOT, SECRET, TAGS, TOOLS, CommandFailed, Space, eventually_in

pytestmark = pytest.mark.k8s

EXTERNAL = {
    "rabbitmq": {"existingSecret": "warren-rabbitmq"},
    "gateway": {"auth": {"existingSecret": "warren-jwt"}},
}
# Users as OpenShift would choose them: neither image knows them.
TRIAL = {
    "rabbitmq": {"trial": {"image": TOOLS, "pullPolicy": "Never", "userId": 1000650000}},
    "podSecurityContext": {"runAsUser": 1000660000, "runAsGroup": 1000660000, "fsGroup": 1000660000},
}
NOBODY = {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}
CROWD = (Path(__file__).parent / "crowd.py").read_text()


def everything(space: Space) -> set[str]:
    """Return what is in the namespace, of every kind that can be listed, but what Kubernetes itself puts
    there.
    """
    kinds = space.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    kinds = [kind for kind in kinds if not kind.startswith("events") and "metrics.k8s.io" not in kind]
    listed = space.kubectl("get", ",".join(kinds), "--ignore-not-found", "-o", "name").split()
    return {name for name in listed if name not in ("configmap/kube-root-ca.crt", "serviceaccount/default")}


def crowd_in(
    space: Space, url: str, clients: int, every_s: str, *, secret: str = SECRET, within_s: float = 30
) -> None:
    """Run the pod ``crowd``: clients that have joined through ``url`` and begin to publish. Without
    ``secret`` they show no token.
    """
    env = {"URL": url, "CLIENTS": str(clients), "EVERY_S": every_s, "SECRET": secret}
    image = f"warren-gateway:{TAGS[0]}"
    space.run("crowd", "python", "-u", "/files/crowd.py", image=image, files={"crowd.py": CROWD}, env=env)
    eventually_in(within_s, "all have joined", lambda: space.ask("crowd", "/report")["joined"] == clients)
    space.ask("crowd", "/begin")


def chat(space: Space, url: str, secret: str = SECRET) -> None:
    """Let a few clients talk through ``url`` for a moment: nothing is lost."""
    crowd_in(space, url, 20, "0.5", secret=secret)
    eventually_in(30, "a hundred messages", lambda: space.ask("crowd", "/report")["acked"] > 100)
    verdict = space.ask("crowd", "/stop")
    assert (verdict["lost"], verdict["doubled"], verdict["unacked"], verdict["errors"]) == (0, 0, 0, {}), (
        verdict
    )


def test_beside_a_broker_of_ones_own(space: Space, broker: str) -> None:
    """With a RabbitMQ outside and tokens, and no user named: pods get ready as the image's, `helm test`
    passes, clients talk through nginx, uninstall leaves nothing.
    """
    before = everything(space)
    space.install(EXTERNAL, NOBODY)
    assert "runAsUser" not in space.pods("gateway")[0]["spec"]["securityContext"]
    said = space.helm("test", "warren")
    assert said.count("Phase:          Succeeded") == 2, said
    nginx(space)
    chat(space, "ws://nginx:8080/ws")
    space.kubectl("delete", "pod,service,configmap", "crowd", "nginx", "--wait")
    space.helm("uninstall", "warren", "--wait")
    eventually_in(90, "nothing is left", lambda: everything(space) == before)


def test_the_trial_node(space: Space) -> None:
    """The values for a trial bring a broker of their own: its password stays over an upgrade, and `helm test`
    passes. All pods run as users whom their images don't know.
    """
    space.install(TRIAL, files=[CHART / "values-trial.yaml"])
    assert space.helm("test", "warren").count("Phase:          Succeeded") == 2

    def password() -> str:
        return str(space.get("secret", "warren-rabbitmq")["data"]["password"])

    first = password()
    space.install(
        TRIAL,
        {"gateway": {"podAnnotations": {"a": "b"}}},
        files=[CHART / "values-trial.yaml"],
        command="upgrade",
    )
    assert password() == first
    haproxy(space)
    chat(space, "ws://haproxy:8080/ws", secret="")  # nobody is asked for a token


def test_plain_manifests(space: Space, broker: str, tmp_path: Path) -> None:
    """`kubectl apply -k deploy/k8s/manifests` brings up the same (here with the tests' images and less CPU),
    and `delete -k` removes it.
    """
    before = everything(space)
    (tmp_path / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: "
        "[./manifests]\nimages:\n"
        + "".join(f"  - {{name: warren-{service}, newTag: {TAGS[0]}}}\n" for service in ("gateway", "router"))
        + "patches:\n"
        "  - target: {kind: Deployment}\n"
        "    patch: |\n"
        "      - {op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 50m}\n"
        "      - {op: replace, path: /spec/template/spec/containers/0/imagePullPolicy, value: Never}\n"
    )
    copy = tmp_path / "manifests"
    copy.mkdir()
    for path in (ROOT / "deploy/k8s/manifests").iterdir():
        (copy / path.name).write_text(path.read_text())
    space.kubectl("apply", "-k", str(tmp_path))
    space.rolled_out("warren-gateway", "warren-router")
    chat(space, "ws://warren-gateway/ws")
    space.kubectl("delete", "pod,service,configmap", "crowd", "--wait")
    space.kubectl("delete", "-k", str(tmp_path), "--wait")
    eventually_in(90, "nothing is left", lambda: everything(space) == before)


def test_the_folder_of_manifests_is_applied_too(space: Space, broker: str) -> None:
    """`kubectl apply -f` of the folder is taken by the API server as a whole: the list for kustomize does not
    get in its way.
    """
    said = space.kubectl("apply", "--dry-run=server", "-f", str(ROOT / "deploy/k8s/manifests"))
    assert said.count("created") == len(said.splitlines()) >= 8


def test_without_its_secret_nothing_runs_and_the_event_says_why(space: Space) -> None:
    """A secret that is missing is named by an event; the pods begin as soon as it is there."""
    space.install(EXTERNAL, wait=False)
    eventually_in(
        60,
        "an event names the secret",
        lambda: (
            'secret "warren-rabbitmq" not found'
            in space.kubectl("get", "events", "-o", "jsonpath={.items[*].message}")
        ),
    )


def test_a_secret_that_has_changed_makes_new_pods(space: Space, broker: str) -> None:
    """An upgrade replaces the pods that read a secret which has changed since the last, and no others."""

    def running(component: str) -> set[str]:
        return {pod["metadata"]["name"] for pod in space.pods(component)}

    small = {
        "gateway": {"replicas": 1, "drain": {"pauseSeconds": 0, "windowSeconds": 0}},
        "router": {"replicas": 1},
    }
    space.install(EXTERNAL, small)
    before = {component: running(component) for component in ("gateway", "router")}
    space.install(EXTERNAL, small, command="upgrade")
    assert {component: running(component) for component in ("gateway", "router")} == before
    space.secret("warren-jwt", secret=SECRET[::-1])
    space.install(EXTERNAL, small, command="upgrade")
    space.settled("gateway", 1)
    assert not running("gateway") & before["gateway"]
    assert running("router") == before["router"]  # it reads no token


def test_an_upgrade_that_does_not_fit_changes_nothing(space: Space, broker: str) -> None:
    """Values that validate.yaml refuses never reach the cluster, and a rollback brings an earlier revision
    back.
    """
    space.install(EXTERNAL, {"gateway": {"replicas": 1}, "router": {"replicas": 1}})
    with pytest.raises(CommandFailed, match="17 routers share 2 shards"):
        space.install(EXTERNAL, {"router": {"replicas": 17}}, command="upgrade")
    space.settled("router", 1)
    space.install(
        EXTERNAL,
        {"gateway": {"replicas": 2}, "router": {"replicas": 1}, "image": {"tag": TAGS[1]}},
        command="upgrade",
    )
    space.helm("rollback", "warren", "1", "--wait", "--timeout", "180s")
    space.settled("gateway", 1)
    [pod] = space.pods("gateway")
    assert pod["spec"]["containers"][0]["image"] == f"warren-gateway:{TAGS[0]}"
