"""Which deployments are shown, and what they have from their namespaces, while the API server has bad days."""

from typing import Any

import pytest

from tests.fakes.kubernetes import ProcessCluster, Rule
from tests.objects import isvc
from tests.process.pod import NAMES, NORMALIZER, Pod, isvc_uri
from tests.process.reader import Reader

IGNORED = {"rhdh.modelcatalog.io/ignore": "true"}
IRIS, WINE = isvc_uri("iris"), isvc_uri("wine")
NAMESPACES_ALLOWED = (Rule(api_groups=("",), resources=("namespaces",), verbs=("get", "list", "watch")),)


def names(document: dict[str, Any]) -> tuple[str, str]:
    return document["models"][0]["name"], document["modelServer"]["name"]


async def test_a_model_that_is_opted_out_leaves_at_once_and_comes_back_as_it_was(
    pod: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    await cluster.apply_all([isvc("iris"), isvc("wine")])
    await pod.start()
    await pod.serving(IRIS, WINE)
    before = await pod.document(IRIS)

    reader.release(IRIS)
    await cluster.apply(isvc("iris", annotations=IGNORED))
    await pod.serving(WINE)  # REMOVAL_HOLD is an hour here
    for name in NAMES:
        await pod.restart(name)
    await pod.serving(WINE)

    await cluster.fault("status", resource="inferenceservices", times=3, status=503)
    await cluster.drop_connections()
    await cluster.apply(isvc("iris"))
    await pod.serving(IRIS, WINE)
    after = await pod.document(IRIS)
    assert names(after) == names(before)
    assert after == before


@pytest.mark.parametrize(
    "variables",
    [{"SELECT_NAMESPACES": "models,team-*,!team-secret", "SELECT_NAMES": "!*-test", "SELECTOR": "tier!=old"}],
)
async def test_what_is_not_selected_is_not_shown_and_nothing_else_is_lost(
    pod: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    shown = [isvc("iris"), isvc("rose", "team-a")]
    hidden = [isvc("lily", "team-secret"), isvc("oak", "trees"), isvc("iris-test"), isvc("fir", labels={"tier": "old"})]
    for namespace in ("team-a", "team-secret", "trees"):
        await cluster.add_namespace(namespace)
    await cluster.apply_all([*shown, *hidden])
    await pod.start()
    uris = [IRIS, isvc_uri("rose", "team-a")]
    await pod.serving(*uris)

    await cluster.compact()
    await cluster.disturb_watches("gone", "inferenceservices")
    await pod.restart(NORMALIZER)
    await pod.serving(*uris)
    await reader.round()

    await cluster.apply(isvc("fir"))
    await pod.serving(*uris, isvc_uri("fir"))


@pytest.mark.parametrize(("further_rules", "variables"), [(NAMESPACES_ALLOWED, {"READ_NAMESPACES": "true"})])
async def test_owner_and_tags_are_those_of_the_namespace(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    def namespace(owner: str) -> dict[str, Any]:
        metadata = {"name": "models", "labels": {"team": "vision"}, "annotations": {"rhdh.io/owner": owner}}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    await cluster.apply(namespace("ada"))
    await cluster.apply(isvc("iris"))
    await pod.start()
    document = await pod.shows(IRIS, lambda document: document["models"][0]["owner"] == "ada")
    assert "team-vision" in document["models"][0]["tags"]

    await cluster.apply(namespace("grace"))
    await pod.shows(IRIS, lambda document: document["models"][0]["owner"] == "grace")
    await cluster.disturb_watches("gone", "namespaces")
    await pod.restart(NORMALIZER)
    assert (await pod.document(IRIS))["models"][0]["owner"] == "grace"
