"""All three services in one process, in a pod: the cluster is the source, ConfigMaps are the cache."""

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.connector.running import connector
from tests.fakes.kubernetes import FakeCluster, documented_rules
from tests.objects import isvc
from tests.waiting import eventually

NAMESPACE = "ai-rhdh"


async def test_a_cluster_is_followed_and_the_cache_kept_in_it() -> None:
    async with FakeCluster(tls=True) as cluster:
        cluster.grant("pod-token", "connector", documented_rules(NAMESPACE))
        cluster.apply(isvc("iris"))
        server = urlsplit(cluster.url)
        pod = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "token": "pod-token",
            "ca.crt": cluster.ca_pem,
            "POD_NAMESPACE": NAMESPACE,
            "LOG_FORMAT": "console",  # in JSON nothing else is printed
        }
        for _ in range(2):  # the second time with what the first has kept
            async with connector("--cluster", env=pod) as running:
                await eventually(running.uris, what="the model")
                assert await running.uris() == ["/models/iris/model-catalog.json"]
                assert "rest_client_requests_total" in (await running.get("/metrics"))[1]
        kept = cluster.get("ConfigMap", NAMESPACE, "bac-import-model")
        assert kept is not None
        assert list(kept["binaryData"]) == ["models_iris"]


def kubeconfig(path: Path, **clusters: FakeCluster) -> str:
    """Write one kubeconfig with a context for each cluster, as people have it; return its path."""
    whole: dict[str, object] = {"apiVersion": "v1", "kind": "Config", "current-context": next(iter(clusters))}
    for name, cluster in clusters.items():
        one = yaml.safe_load(cluster.kubeconfig(path).read_text())
        for kind in ("clusters", "users", "contexts"):
            [entry] = one[kind]
            of_kind = whole.setdefault(kind, [])
            assert isinstance(of_kind, list)
            of_kind.append(entry | {"name": name})
        whole["contexts"][-1]["context"] |= {"cluster": name, "user": name}  # type: ignore[index]
    path.write_text(yaml.safe_dump(whole))
    return str(path)


async def test_several_contexts_are_followed(tmp_path: Path) -> None:
    async with FakeCluster(tls=True) as first, FakeCluster(tls=True) as second:
        first.apply(isvc("iris"))
        second.apply(isvc("iris"))
        env = {"KUBECONFIG": kubeconfig(tmp_path / "config", kind_a=first, kind_b=second)}
        arguments = ("--cluster", "kind_a", "--cluster", "kind_b", "--state", str(tmp_path / "state"))
        async with connector(*arguments, env=env) as running:

            async def both() -> bool:
                return len(await running.uris()) == 2

            await eventually(both, what="both models")
            uris = await running.uris()
            [further] = set(uris) - {"/models/iris/model-catalog.json"}
            assert further in ("/models/iris-kind-a/model-catalog.json", "/models/iris-kind-b/model-catalog.json")


async def test_a_context_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    async with FakeCluster() as cluster:
        env = {"KUBECONFIG": kubeconfig(tmp_path / "config", prod=cluster), "PATH": "/usr/bin"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.connector", "run", "--cluster", "prd", "--state", str(tmp_path)),
            env=env,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert process.returncode
        assert f"no context prd in {tmp_path / 'config'}: prod" in said.decode()
