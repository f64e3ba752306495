"""The example of several clusters is one that the connector takes, and the pod has it where that looks for it."""

import copy
from pathlib import Path
from typing import Any

import yaml

from services.normalizer.clusters_file import parse_clusters
from tests.deploy.kustomize import ROOT, Object, render
from tests.deploy.schemas import deployment_with, validate
from tests.deploy.sidecar_objects import PROXY, TEMPLATES, added, backstage, sidecars
from tests.fakes.kubernetes.patches import merge_patch

FOLDER = Path(sidecars.CLUSTERS_FOLDER)


def objects() -> dict[str, Object]:
    return {obj["kind"]: obj for obj in render(ROOT / "clusters/connector")}


def patched(obj: Object, containers: list[Any]) -> Object:
    volumes = sidecars.volumes_after(sidecars.at(obj, sidecars.volumes_of(obj), []), containers=containers)
    patch = sidecars.patch_for(obj, containers, None, volumes)
    return copy.deepcopy(obj) if patch is None else merge_patch(obj, patch)


def test_the_file_is_taken_and_each_file_that_it_names_is_in_the_secret() -> None:
    found = objects()
    text = found["ConfigMap"]["data"]["clusters.yaml"]

    file = parse_clusters(text, FOLDER / "clusters.yaml")

    assert [entry.name for entry in file.clusters if entry.is_own] == ["hub"]
    named = {
        path.name
        for entry in file.clusters
        for path in (entry.kubeconfig, entry.token_file, entry.ca_file)
        if path is not None
    }
    assert named == set(found["Secret"]["stringData"])
    assert all(obj["metadata"]["name"] == sidecars.CLUSTERS for obj in found.values())


def test_the_placeholders_of_the_secret_are_valid_where_they_can_be() -> None:
    kubeconfig = yaml.safe_load(objects()["Secret"]["stringData"]["prod-eu.kubeconfig"])

    assert kubeconfig["current-context"] == "prod-eu"
    assert "REPLACE" in kubeconfig["users"][0]["user"]["token"]


def test_the_pod_mounts_both_and_the_reader_is_told() -> None:
    for variant, reader in (("connector", "connector"), ("sidecars", "rhoai-normalizer")):
        after = patched(backstage(PROXY), added([PROXY], variant, clusters=True))
        pod = after["spec"]["deployment"]["patch"]["spec"]["template"]["spec"]

        told = [each["name"] for each in pod["containers"] if {"name": sidecars.CLUSTERS} in _named(each)]
        assert told == [reader]
        [container] = [each for each in pod["containers"] if each["name"] == reader]
        assert {"name": "CLUSTERS_FILE", "value": str(FOLDER / "clusters.yaml")} in container["env"]
        assert pod["volumes"][0] == {"name": "own", "emptyDir": {}}
        deployment = deployment_with(pod["containers"])
        deployment["spec"]["template"]["spec"]["volumes"] = pod["volumes"]
        for each in deployment["spec"]["template"]["spec"]["containers"]:
            each.setdefault("image", "example")
        validate(deployment)


def test_what_is_added_a_second_time_changes_nothing_and_all_of_it_is_taken_out_again() -> None:
    before = backstage(PROXY)
    once = patched(before, added([PROXY], clusters=True))
    present = sidecars.at(once, sidecars.BACKSTAGE)

    assert patched(once, added(present)) == once
    removed = patched(once, [each for each in present if not sidecars.is_ours(each)])
    assert removed["spec"] == before["spec"]


def test_a_resource_without_containers_or_volumes_gets_them() -> None:
    after = patched(backstage(), added([], clusters=True))

    pod = after["spec"]["deployment"]["patch"]["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == [sidecars.CLUSTERS]
    assert pod["containers"][0]["image"] == TEMPLATES["connector"]["image"]


def _named(container: Object) -> list[dict[str, str]]:
    return [{"name": mount["name"]} for mount in container.get("volumeMounts") or []]
