"""Where Helm is, and what it renders. It never talks to a cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[2] / "deploy" / "k8s" / "warren"
# What the manifests are rendered for: the oldest version that has all that the chart can use.
KUBE_VERSION = "1.30"


class HelmMissing(RuntimeError):
    """Helm is not installed; the message is one line that says what to do."""


class RenderFailed(RuntimeError):
    """Helm refused; the message is what it said."""


def find_helm() -> str:
    """Return Helm's path: on the PATH, or where ``scripts/dev/need helm`` puts it. Raises HelmMissing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warren" / "bin" / "helm"
    found = shutil.which("helm") or (str(cache) if os.access(cache, os.X_OK) else None)
    if found is None:
        raise HelmMissing(
            "Helm is not installed; scripts/dev/need helm gets it (with Go), or see https://helm.sh"
        )
    return found


def render(
    values: Sequence[Path] = (),
    sets: Sequence[str] = (),
    *,
    release: str = "warren",
    kube_version: str = KUBE_VERSION,
    options: Sequence[str] = (),
) -> str:
    """Return the chart's manifests as text, with values files and ``--set`` pairs (each ``path=JSON``).
    Raises RenderFailed, HelmMissing.
    """
    command = [find_helm(), "template", release, str(CHART), "--kube-version", kube_version, *options]
    for path in values:
        command += ["--values", str(path)]
    for pair in sets:
        command += ["--set-json", pair]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RenderFailed(done.stderr.strip())
    return done.stdout


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects in rendered text."""
    return [document for document in yaml.safe_load_all(text) if document]
