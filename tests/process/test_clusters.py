"""The documented pod with CLUSTERS_FILE: its own cluster and further ones, each by itself, over TLS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.kustomize import ROOT, render
from tests.deploy.rbac import granted
from tests.fakes.kubernetes import ProcessCluster, permitted
from tests.objects import isvc
from tests.process.conftest import MakePod, rules_of
from tests.process.pod import LOCATION, NORMALIZER, Pod, isvc_uri
from tests.process.reader import Reader
from tests.waiting import eventually

IRIS, BERT, QWEN = isvc_uri("iris"), isvc_uri("bert"), isvc_uri("qwen")
FURTHER_TOKEN, FURTHER_USER = "a-token-of-another-cluster", "system:serviceaccount:ai-rhdh:rhdh-rhoai-connector"


@pytest.fixture
async def further(tmp_path: Path) -> AsyncIterator[ProcessCluster]:
    """A further cluster, with an authority of its own; the connector's account has the rights of deploy/clusters."""
    rules = rules_of(granted(render(ROOT / "clusters/account")))
    async with ProcessCluster(tls_dir=tmp_path / "further", resources=["inferenceservices", "routes"]) as cluster:
        await cluster.grant(FURTHER_TOKEN, FURTHER_USER, rules)
        yield cluster
        used = [access for access in await cluster.used() if access.user == FURTHER_USER]
        optional = {"llminferenceservices"}
        assert not [each for each in used if each.resource not in optional and not permitted(rules, each)]


def write(folder: Path, *further: ProcessCluster) -> Path:
    """Write the file, with the own cluster and these; the first by its parts, others by a kubeconfig."""
    entries: list[dict[str, str]] = [{"name": "hub"}]
    for cluster in further:
        (folder / "prod.token").write_text(FURTHER_TOKEN)
        (folder / "prod.crt").write_text(cluster.ca_pem)
        entries.append({"name": "prod", "url": cluster.url, "tokenFile": "prod.token", "caFile": "prod.crt"})
    new = folder / "new"
    new.write_text(yaml.safe_dump({"clusters": entries}))
    return new.rename(folder / "clusters.yaml")


async def test_a_further_cluster_comes_fails_and_comes_back(
    make_pod: MakePod, cluster: ProcessCluster, further: ProcessCluster, tmp_path: Path
) -> None:
    file = write(tmp_path)
    await cluster.apply(isvc("iris"))
    await further.apply_all([isvc("iris"), isvc("bert")])
    async with make_pod(overrides={"CLUSTERS_FILE": str(file)}) as pod, Reader(pod[LOCATION].url) as reader:
        await pod.start()
        await pod.serving(IRIS)

        write(tmp_path, further)
        other = isvc_uri("iris-prod")
        await pod.serving(IRIS, other, BERT)
        document = await pod.document(other)
        assert document["models"][0]["annotations"]["rhdh.modelcatalog.io/cluster"] == "prod"

        await further.fault("hang", times=None)
        await further.drop_connections()
        await pod.restart_unready(NORMALIZER)
        await cluster.apply(isvc("qwen"))
        await pod.serving(IRIS, other, BERT, QWEN)
        await eventually(lambda: is_stale(pod, "kserve@prod"))

        await further.clear_faults()
        await further.drop_connections()
        reader.release(BERT)
        await further.delete("InferenceService", "models", "bert")
        await eventually(lambda: served(pod, {IRIS, other, QWEN}), timeout=90)


async def is_stale(pod: Pod, condition: str) -> bool:
    conditions = (await pod.get(NORMALIZER, "/readyz")).json()["conditions"]
    return any(each["name"] == condition and not each["ok"] for each in conditions)


async def served(pod: Pod, uris: set[str]) -> bool:
    answer = await pod.get(LOCATION, "/list")
    return answer.status == 200 and set(answer.json()["uris"]) == uris
