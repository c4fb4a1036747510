"""A cluster to test on: kubectl and Helm as commands, a namespace that goes with the test, and what stands
beside Warren in it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from scripts.chart.helm import CHART, find_helm
from tests.support.eventually import stretched

ROOT = Path(__file__).parents[2]
TOOLS = "warren-test-tools:1"
TAGS = ("test-1", "test-2")
SECRET = "0123456789abcdef0123456789abcdef"
# Small enough for one node of two cores that is busy with other things too.
SMALL = {
    "gateway": {
        "rooms": [],
        "minReadySeconds": 0,
        "drain": {"pauseSeconds": 4, "windowSeconds": 10, "deadlineSeconds": 15},
        "resources": {"requests": {"cpu": "80m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        # a client of the tests sends more than a person does
        "settings": {"WARREN_GATEWAY_RATE": 50},
    },
    "router": {
        "minReadySeconds": 0,
        "resources": {"requests": {"cpu": "80m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
    },
}


class CommandFailed(AssertionError):
    """kubectl or Helm refused; the message is the command and what it said."""


def run(command: Sequence[str], *, text: str = "", timeout_s: float = 180.0) -> str:
    """Run a command and return what it printed. Raises CommandFailed."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=stretched(timeout_s), check=False
    )
    if done.returncode:
        raise CommandFailed(f"{shlex.join(command)}: {done.stdout}{done.stderr}".strip())
    return done.stdout


def eventually_in(seconds: float, what: str, condition: Callable[[], Any]) -> Any:
    """Call ``condition`` until it returns something true, and return that; a command that fails counts as not
    yet.
    """
    deadline = time.monotonic() + stretched(seconds)
    while True:
        try:
            if found := condition():
                return found
            last = "not true"
        except CommandFailed as failed:
            last = str(failed)
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s ({last})")
        time.sleep(0.25)


def renamed(archive: Path, name: str, target: Path) -> Path:
    """Write a docker archive's copy in which the image has another name (the image itself is the same);
    return it.
    """
    with tarfile.open(archive) as source, tarfile.open(target, "w") as copy:
        for member in source:
            if member.name == "repositories":
                continue
            data = source.extractfile(member)
            if member.name == "manifest.json":
                assert data is not None
                manifest = json.load(data)
                manifest[0]["RepoTags"] = [name]
                data = BytesIO(json.dumps(manifest).encode())
                member.size = len(data.getvalue())
            copy.addfile(member, data)
    return target


class Space:
    """A namespace of its own. ``close`` removes it and waits until it is gone."""

    def __init__(self) -> None:
        """Make it."""
        self.name = f"warren-test-{secrets.token_hex(3)}"
        self.kubectl("create", "namespace", self.name, namespaced=False)

    def close(self) -> None:
        """Remove it."""
        self.kubectl("delete", "namespace", self.name, "--timeout=120s", namespaced=False)

    def kubectl(
        self, *arguments: str, text: str = "", namespaced: bool = True, timeout_s: float = 180.0
    ) -> str:
        """Run kubectl here. Raises CommandFailed."""
        where = ("-n", self.name) if namespaced else ()
        return run(["kubectl", *where, *arguments], text=text, timeout_s=timeout_s)

    def helm(self, command: str, *arguments: str, timeout_s: float = 300.0) -> str:
        """Run Helm here. Raises CommandFailed."""
        return run([find_helm(), "--namespace", self.name, command, *arguments], timeout_s=timeout_s)

    def install(
        self,
        *values: Mapping[str, Any],
        files: Sequence[Path] = (),
        command: str = "install",
        wait: bool = True,
    ) -> None:
        """Install (or upgrade) the chart as ``warren`` with values files and then these values, and wait
        until all is ready.
        """
        own = [SMALL, {"image": {"tag": TAGS[0], "pullPolicy": "Never"}}]
        with tempfile.TemporaryDirectory() as folder:
            written = []
            for number, each in enumerate([*own, *values]):
                path = Path(folder) / f"{number}.yaml"
                path.write_text(json.dumps(each))
                written.append(path)
            given = [*files, *written]
            arguments = [argument for path in given for argument in ("--values", str(path))]
            self.helm(
                command, "warren", str(CHART), *arguments, *(("--wait", "--timeout", "180s") if wait else ())
            )

    def get(self, *what: str) -> Any:
        """Return what ``kubectl get -o json`` says."""
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects."""
        self.kubectl(
            "apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def secret(self, name: str, **data: str) -> None:
        """Make a secret."""
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return a component's pods, those that are ending left out."""
        items = self.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def rolled_out(self, *deployments: str) -> None:
        """Wait until these Deployments have what they were told."""
        for name in deployments:
            self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=180s", timeout_s=200)

    def settled(self, component: str, count: int) -> None:
        """Wait until exactly ``count`` pods of a component are there and ready, and none is ending."""

        def ready() -> bool:
            items = self.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]
            states = [
                any(
                    each["type"] == "Ready" and each["status"] == "True"
                    for each in pod["status"].get("conditions", [])
                )
                for pod in items
            ]
            return states == [True] * count

        eventually_in(120, f"{count} pods of {component}", ready)

    def run(
        self,
        name: str,
        *command: str,
        image: str,
        files: Mapping[str, str],
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a pod with files in /files, and a Service of the same name on its port 8080; wait until it is
        ready.

        It asks for CPU. A pod that asks for none gets what the others leave, which is nothing while new pods
        start, so that a crowd or a balancer would measure its own waiting.
        """
        self.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(files)},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"selector": {"run": name}, "ports": [{"port": 8080}]},
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"run": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "enableServiceLinks": False,
                    "containers": [
                        {
                            "name": name,
                            "image": image,
                            "imagePullPolicy": "Never",
                            "command": list(command),
                            "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
                            "resources": {"requests": {"cpu": "400m", "memory": "64Mi"}},
                            "readinessProbe": {
                                "tcpSocket": {"port": 8080},
                                "periodSeconds": 1,
                                "failureThreshold": 60,
                            },
                            "volumeMounts": [{"name": "files", "mountPath": "/files"}],
                        }
                    ],
                    "volumes": [{"name": "files", "configMap": {"name": name}}],
                },
            },
        )
        try:
            self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        except CommandFailed as failed:
            raise AssertionError(f"{failed}\n{self.kubectl('logs', name)}") from None

    def ask(self, pod: str, path: str, timeout_s: float = 60.0) -> Any:
        """GET JSON from a pod's port 8080, through the API server."""
        return json.loads(
            self.kubectl(
                "get",
                "--raw",
                f"/api/v1/namespaces/{self.name}/pods/{pod}:8080/proxy{path}",
                namespaced=False,
                timeout_s=timeout_s,
            )
        )

    def tell(self) -> None:
        """Print what is here and what it said, for a test that failed."""
        for command in (
            ("get", "pods,events"),
            ("logs", "-l", "app.kubernetes.io/name=warren", "--all-containers", "--prefix", "--tail=40"),
        ):
            try:
                sys.stdout.write(self.kubectl(*command) + "\n")
            except CommandFailed as failed:
                sys.stdout.write(f"{failed}\n")


def load_images() -> None:
    """Give the cluster the images: Warren's under two tags, and the tools."""
    folder, command = Path(os.environ["WARREN_TEST_IMAGES"]), shlex.split(os.environ["IMAGE_LOAD"])
    for service in ("gateway", "router"):
        archive = folder / f"warren-{service}.tar"
        for tag in TAGS:
            run(
                [*command, str(renamed(archive, f"warren-{service}:{tag}", folder / f"{service}-{tag}.tar"))],
                timeout_s=300,
            )
    run([*command, str(folder / "tools.tar")], timeout_s=300)


def broker_host() -> str:
    """Return this machine's address as pods see it: BROKER_HOST, or that of a node which is this
    machine's.
    """
    if named := os.environ.get("BROKER_HOST"):
        return named
    for node in json.loads(run(["kubectl", "get", "nodes", "-o", "json"]))["items"]:
        for address in node["status"]["addresses"]:
            if address["type"] != "InternalIP":
                continue
            family = (
                socket.AF_INET6 if ipaddress.ip_address(address["address"]).version == 6 else socket.AF_INET
            )
            with socket.socket(family) as probe:
                try:
                    probe.bind((address["address"], 0))
                except OSError:
                    continue
                return str(address["address"])
    raise AssertionError(
        "no node has an address of this machine; set BROKER_HOST to the one that pods reach it by"
    )
