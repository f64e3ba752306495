"""Nothing that is shipped or documented applies, replaces or deletes an object that belongs to the customer.

That is the Backstage resource or Deployment, and the ConfigMaps of its app-config and plugins. `kubectl apply` by
someone who is not the owner takes fields away: with --server-side all that the owner had applied.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.deploy.kubectl import Kubectl, needs_kubectl
from tests.deploy.kustomize import ROOT, directories, render
from tests.fakes.kubernetes import FakeCluster
from tests.fakes.kubernetes.resources import ResourceType

REPOSITORY = ROOT.parent
OURS = re.compile(r"rhoai-connector\b")
"""In the name of every object that is ours."""
BINDINGS = {"rhdh-rhoai-dashboard-permissions", "rhdh-odh-dashboard-permissions"}
"""The documented names of the bindings for a registry's Role."""
CHANGING = {"apply", "create", "replace", "delete"}
DOCUMENTS = [
    path
    for path in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *ROOT.rglob("*"))
    if path.is_file() and path.suffix in (".md", ".yaml", ".py") and path.parent.name != "adr"
]
"""All that says what to do; the decisions say what was done."""


@dataclass(frozen=True)
class Command:
    """One kubectl or oc command of a document."""

    document: Path
    verb: str
    arguments: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(REPOSITORY)}: kubectl {self.verb} {self.arguments}"


def commands() -> Iterator[Command]:
    """The commands of all documents and comments, with their continuation lines."""
    for document in sorted(DOCUMENTS):
        text = re.sub(r"\\\n\s*(?:#\s*)?", " ", document.read_text(encoding="utf-8"))
        for verb, arguments in re.findall(r"\b(?:kubectl|oc) ([a-z]+)([^\n`|#]*)", text):
            yield Command(document, verb, arguments.strip())


def test_the_documents_have_commands() -> None:
    assert {"apply", "delete", "patch"} <= {command.verb for command in commands()}


@pytest.mark.parametrize("directory", directories(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_directory_holds_objects_of_ours_only(directory: Path) -> None:
    foreign = {
        (obj["kind"], obj["metadata"]["name"])
        for obj in render(directory)
        if not OURS.search(obj["metadata"]["name"]) and obj["metadata"]["name"] not in BINDINGS
    }

    assert foreign == set()


def test_every_other_file_is_no_object() -> None:
    """kubectl refuses what has no kind, or is a list: a patch or values by mistake under `kubectl apply -f`."""
    applied = {path for directory in directories() for path in directory.rglob("*.yaml")}
    applied |= set((ROOT / "rbac").rglob("*.yaml"))
    others = [path for path in ROOT.rglob("*.yaml") if path not in applied or path.name == "sidecar.yaml"]

    assert len(others) >= 5
    for path in others:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            assert isinstance(document, list) or "kind" not in document, path


def test_commands_that_change_objects_name_directories_or_objects_of_ours() -> None:
    for command in commands():
        if command.verb not in CHANGING:
            continue
        named = re.findall(r"(?:-k|--kustomize)[ =](\S+)", command.arguments)
        assert "--server-side" not in command.arguments, command
        assert "--force-conflicts" not in command.arguments, command
        assert not re.search(r"(?:-f|--filename)\b", command.arguments), f"{command} applies a file"
        for directory in named:
            assert (REPOSITORY / directory).resolve() in directories(), command


def test_what_is_deleted_may_be_gone_already() -> None:
    """An uninstall that is run twice, or of which a part was never installed, ends with 0."""
    deletions = [command for command in commands() if command.verb == "delete" and "-k " in command.arguments]

    assert deletions
    assert [str(command) for command in deletions if "--ignore-not-found" not in command.arguments] == []


RBAC, MONITORING = "rbac.authorization.k8s.io", "monitoring.coreos.com"
APPLIED = [
    ResourceType(
        group=group, versions=("v1",), plural=f"{kind.lower()}s", kind=kind, namespaced=namespaced, custom=True
    )
    for group, kind, namespaced in (
        (RBAC, "ClusterRole", False),
        (RBAC, "ClusterRoleBinding", False),
        (RBAC, "Role", True),
        (RBAC, "RoleBinding", True),
        (MONITORING, "ServiceMonitor", True),
        (MONITORING, "PrometheusRule", True),
    )
]
POLICIES = ResourceType(
    group="networking.k8s.io", versions=("v1",), plural="networkpolicies", kind="NetworkPolicy", custom=True
)


@needs_kubectl
async def test_whatever_was_applied_is_deleted_also_a_second_time(tmp_path: Path) -> None:
    async with FakeCluster(tls=True, resources=(*APPLIED, POLICIES)) as cluster:
        kubectl = Kubectl(tmp_path, cluster.kubeconfig(tmp_path / "config"))
        for namespace in ("ai-rhdh", "models", "rhoai-model-registries"):
            cluster.add_namespace(namespace)

        for directory in directories():
            if any(obj["metadata"].get("namespace") == "odh-model-registries" for obj in render(directory)):
                with pytest.raises(AssertionError, match="odh-model-registries"):
                    await kubectl("apply", "-k", str(directory))
            else:
                await kubectl("apply", "-k", str(directory))
            for _ in range(2):
                await kubectl("delete", "-k", str(directory), "--ignore-not-found")

        assert not [obj for kind in (*APPLIED, POLICIES) for obj in cluster.objects(kind.kind)]
        assert cluster.objects("ConfigMap") == []
