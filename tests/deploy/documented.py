"""The documented container specs, and the process environment that a kubelet makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FIXTURE = Path(__file__).parent / "fixtures" / "documented-pod.yaml"
SECRET_NAME = "rhdh-rhoai-connector-token"


@dataclass(frozen=True)
class ContainerSpec:
    """What one documented container is started with."""

    name: str
    working_dir: str
    args: tuple[str, ...]
    env: tuple[Mapping[str, Any], ...]
    env_from: tuple[Mapping[str, Any], ...]
    ports: tuple[int, ...]
    raw: Mapping[str, Any]
    """The whole spec, as it stands in the fixture."""


@cache
def containers() -> dict[str, ContainerSpec]:
    """The specs of location, storage-rest and rhoai-normalizer, by name."""
    document = yaml.safe_load(FIXTURE.read_text(encoding="utf-8"))
    return {raw["name"]: _spec(raw) for raw in document["containers"]}


def environment(name: str, *, secret: Mapping[str, str], pod_ip: str, namespace: str) -> dict[str, str]:
    """The environment in which the container `name` runs, apart from what the node's kubelet adds about Services.

    `secret` is the data of the service account token Secret: its keys `token`, `ca.crt` and `namespace` become
    variables of those very names. Variables of `env` win over those of `envFrom` (Kubernetes API: Container).
    """
    spec = containers()[name]
    fields = {"status.podIP": pod_ip, "metadata.namespace": namespace}
    variables: dict[str, str] = {}
    for source in spec.env_from:
        if source != {"secretRef": {"name": SECRET_NAME}}:
            raise ValueError(f"container {name}: envFrom {source} is not the documented Secret {SECRET_NAME}")
        variables.update(secret)
    for variable in spec.env:
        if "value" in variable:
            variables[variable["name"]] = variable["value"]
        else:
            variables[variable["name"]] = fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
    return variables


def _spec(raw: Mapping[str, Any]) -> ContainerSpec:
    return ContainerSpec(
        name=raw["name"],
        working_dir=raw["workingDir"],
        args=tuple(raw.get("args", ())),
        env=tuple(raw["env"]),
        env_from=tuple(raw["envFrom"]),
        ports=tuple(port["containerPort"] for port in raw.get("ports", ())),
        raw=raw,
    )
