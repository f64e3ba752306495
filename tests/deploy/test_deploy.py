"""deploy/ renders, is valid against the Kubernetes API's schemas, and is the documented set-up where it says so."""

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.documented import containers
from tests.deploy.kustomize import ROOT, Object, containers_in, directories, key, render
from tests.deploy.schemas import deployment_with, validate

OURS = ("image", "startupProbe", "livenessProbe", "readinessProbe", "resources", "securityContext")
"""What our containers have in addition to, or instead of, the documented specs."""
CONTAINERS = (
    "operator/sidecars.yaml",
    "operator/connector.yaml",
    "helm/sidecars.yaml",
    "helm/connector.yaml",
    "kubernetes/sidecar.yaml",
)
"""The files that containers are shipped in."""
PROMETHEUS_KINDS = {"ServiceMonitor", "PrometheusRule"}


def name_of(directory: Path) -> str:
    return str(directory.relative_to(ROOT))


def pod_containers(file: str) -> dict[str, Object]:
    document = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    if isinstance(document, list):
        found = [operation["value"] for operation in document]
    elif "upstream" in document:
        found = document["upstream"]["backstage"]["extraContainers"]
    else:
        found = list(containers_in(document))
    return {container["name"]: container for container in found}


def without_registries(containers: dict[str, Object]) -> tuple[dict[str, Object], list[str]]:
    """The containers without MODEL_REGISTRY_NAMESPACES, and the values that it had."""
    values = []
    result = copy.deepcopy(containers)
    for container in result.values():
        values += [v["value"] for v in container["env"] if v["name"] == "MODEL_REGISTRY_NAMESPACES"]
        container["env"] = [v for v in container["env"] if v["name"] != "MODEL_REGISTRY_NAMESPACES"]
    return result, values


@pytest.mark.parametrize("directory", directories(), ids=name_of)
def test_every_directory_renders_valid_objects(directory: Path) -> None:
    objects = render(directory)

    assert objects
    assert len({key(obj) for obj in objects}) == len(objects)
    for obj in objects:
        if obj["kind"] not in PROMETHEUS_KINDS:
            validate(obj)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("directory", directories(), ids=name_of)
def test_kubectl_renders_the_same(directory: Path) -> None:
    done = subprocess.run(["kubectl", "kustomize", directory], capture_output=True, text=True, check=True)

    by_key = {key(obj): obj for obj in yaml.safe_load_all(done.stdout)}

    assert by_key == {key(obj): obj for obj in render(directory)}


@pytest.mark.parametrize("file", CONTAINERS)
def test_the_containers_are_valid_in_a_pod(file: str) -> None:
    validate(deployment_with(pod_containers(file).values()))


@pytest.mark.parametrize("file", ["operator/sidecars.yaml", "helm/sidecars.yaml"])
def test_the_three_sidecars_are_those_of_the_documentation(file: str) -> None:
    shipped, _ = without_registries(pod_containers(file))
    ours = {
        name: {field: value for field, value in container.items() if field not in OURS}
        for name, container in shipped.items()
    }

    assert ours == {name: spec.raw for name, spec in containers().items()}


def test_helm_and_kubernetes_have_the_containers_of_the_operator() -> None:
    assert pod_containers("helm/sidecars.yaml") == pod_containers("operator/sidecars.yaml")
    assert pod_containers("helm/connector.yaml") == pod_containers("operator/connector.yaml")
    kubernetes, _ = without_registries(pod_containers("kubernetes/sidecar.yaml"))
    operator, _ = without_registries(pod_containers("operator/connector.yaml"))
    assert kubernetes == operator


@pytest.mark.parametrize("file", CONTAINERS)
def test_registries_are_looked_for_in_the_one_namespace_of_the_platform(file: str) -> None:
    """What the connector trusts by default is more: a namespace of it that does not exist could be made by anybody."""
    _, values = without_registries(pod_containers(file))

    assert values == ["kubeflow" if file.startswith("kubernetes") else "rhoai-model-registries"]


@pytest.mark.parametrize("file", ["operator/sidecars.yaml", "operator/connector.yaml"])
def test_no_container_can_do_more_than_it_must(file: str) -> None:
    ports = {"location": 9090, "storage-rest": 7070, "rhoai-normalizer": 8081, "connector": 9090}
    for name, container in pod_containers(file).items():
        assert container["image"].startswith(f"quay.io/rhoai-connector/{name}:")
        assert container["securityContext"] == {
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"] == {"path": "/healthz", "port": ports[name]}


def test_a_pod_whose_network_is_closed_reaches_what_the_connector_needs() -> None:
    (policy,) = render(ROOT / "network")

    ports = {(port["port"], port["protocol"]) for rule in policy["spec"]["egress"] for port in rule["ports"]}
    api_server, registries, names = {443, 6443}, {8080, 8443}, {53, 5353}
    assert ports == {(port, "TCP") for port in api_server | registries | names} | {(port, "UDP") for port in names}


def app_config(name: str) -> Object:
    path = ROOT / "app-config" / name / "app-config.rhoai-connector.yaml"
    config: Object = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def merged(one: Any, other: Any) -> Any:
    """Two configurations as one, with the entries of both where they have the same list."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: merged(one.get(key, other.get(key)), other.get(key, one.get(key))) for key in one | other}
    return [*one, *(item for item in other if item not in one)] if isinstance(one, list) else one


def test_every_configuration_reads_from_the_same_place() -> None:
    configs = {path.name: app_config(path.name) for path in (ROOT / "app-config").iterdir()}

    first = configs["first-generation"]["catalog"]["providers"]["modelCatalog"]["development"]
    assert first == {"baseUrl": "http://localhost:9090"}
    (endpoint,) = configs["second-generation"]["discovery"]["endpoints"]
    assert endpoint["target"] == "http://localhost:9090/api/{{pluginId}}"
    assert list(configs["second-generation"]["catalog"]["providers"]["modelCatalog"]) == endpoint["plugins"]
    (location,) = configs["plain-backstage"]["catalog"]["locations"]
    assert location["target"] == "http://localhost:9090/catalog-info.yaml"
    for config in configs.values():
        assert config["backend"]["reading"]["allow"] == [{"host": "localhost:9090"}]
        assert config["techdocs"] == {"generator": {"mkdocs": {"disableExternalFonts": True}}}
        assert "rules" not in config["catalog"], "they would replace the customer's"


def test_both_feeds_side_by_side_are_the_two_configurations_in_one() -> None:
    both = app_config("second-generation-and-plain")

    assert both == merged(app_config("second-generation"), app_config("plain-backstage"))
    assert both["integrations"]["gitea"] == [{"host": "127.0.0.1:9090", "baseUrl": "http://127.0.0.1:9090"}]


def test_the_monitoring_names_only_metrics_that_exist() -> None:
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for package in ("common", "services")
        for path in (ROOT.parent / package).rglob("*.py")
    )

    named = {metric for expression in expressions() for metric in _METRIC.findall(expression)}
    missing = {metric for metric in named if not re.search(rf'"{_SUFFIX.sub("", metric)}(_total)?"', sources)}

    assert {m for m in missing if not m.startswith("process_")} == set()


_METRIC = re.compile(r"\b(?:rhoai_connector|controller_runtime|workqueue|rest_client|process)_[a-z_]+")
_SUFFIX = re.compile(r"_(total|bucket|sum|count)$")


def expressions() -> Iterator[str]:
    """Every PromQL expression of the rules and the dashboard."""
    (rules,) = [obj for obj in render(ROOT / "monitoring/base") if obj["kind"] == "PrometheusRule"]
    for group in rules["spec"]["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard: dict[str, Any] = json.loads((ROOT / "monitoring/base/dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
