"""Real clients against the fake API server: kubernetes_asyncio and kubectl; and the server as a process."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from kubernetes_asyncio import client as k8s
from kubernetes_asyncio import config, watch

from tests import objects
from tests.fakes.kubernetes import (
    ApiError,
    FakeCluster,
    Latency,
    ProcessCluster,
    documented_rules,
)
from tests.fakes_selftest.kubernetes_client import CONFIG_MAPS, ISVCS, MERGE, client_of
from tests.waiting import eventually

ISVC = ("serving.kserve.io", "v1beta1", "models", "inferenceservices")


@pytest.fixture
async def secure() -> AsyncIterator[FakeCluster]:
    async with FakeCluster(tls=True) as cluster:
        for namespace in ("rhdh", "models"):
            cluster.add_namespace(namespace)
        yield cluster


@pytest.fixture
async def api(secure: FakeCluster, tmp_path: Path) -> AsyncIterator[k8s.ApiClient]:
    kubeconfig = secure.kubeconfig(tmp_path / "config")
    configuration = type.__call__(k8s.Configuration)
    await config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    async with k8s.ApiClient(configuration) as api:
        yield api


async def test_kubernetes_asyncio_reads_and_writes(api: k8s.ApiClient, secure: FakeCluster) -> None:
    core = k8s.CoreV1Api(api)
    created = await core.create_namespaced_config_map(
        "rhdh", k8s.V1ConfigMap(metadata=k8s.V1ObjectMeta(name="cache"), data={"a": "1"})
    )
    patched = await core.patch_namespaced_config_map("cache", "rhdh", {"data": {"b": "2"}})
    assert patched.data == {"a": "1", "b": "2"}
    created.data = {"a": "stale"}
    with pytest.raises(k8s.ApiException) as conflict:
        await core.replace_namespaced_config_map("cache", "rhdh", created)
    assert conflict.value.status == 409
    listed = await core.list_config_map_for_all_namespaces(limit=1)
    assert listed.items[0].metadata.resource_version == patched.metadata.resource_version
    await core.delete_namespaced_config_map("cache", "rhdh")
    assert secure.get("ConfigMap", "rhdh", "cache") is None


async def test_kubernetes_asyncio_watches(api: k8s.ApiClient, secure: FakeCluster) -> None:
    custom = k8s.CustomObjectsApi(api)
    secure.apply(objects.isvc("a"))
    seen = []
    async with watch.Watch() as watching:
        async for event in watching.stream(custom.list_namespaced_custom_object, *ISVC, timeout_seconds=5):
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            if len(seen) == 1:
                patch = {"metadata": {"labels": {"x": "y"}}}
                await custom.patch_namespaced_custom_object(
                    *ISVC,
                    "a",
                    patch,
                    _content_type=MERGE,  # type: ignore[call-arg]  # documented, but missing in its stubs
                )
            if len(seen) == 2:
                await custom.delete_namespaced_custom_object(*ISVC, "a")
            if len(seen) == 3:
                break
    assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
async def test_kubectl(secure: FakeCluster, tmp_path: Path) -> None:
    kubeconfig = secure.kubeconfig(tmp_path / "config")
    manifests = tmp_path / "manifests.yaml"
    plain = {key: value for key, value in objects.isvc("plain").items() if key != "status"}
    manifests.write_text(yaml.safe_dump_all([objects.configmap("cache", data={"a": "1"}), plain]))

    async def kubectl(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            f"--kubeconfig={kubeconfig}",
            f"--cache-dir={tmp_path}/cache",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    assert (await kubectl("apply", "-f", str(manifests))).count("created") == 2
    assert (await kubectl("apply", "-f", str(manifests))).count("unchanged") == 2
    manifests.write_text(json.dumps(objects.configmap("cache", data={"b": "2"})))
    assert "configured" in await kubectl("apply", "-f", str(manifests))
    assert json.loads(await kubectl("get", "cm", "cache", "-n", "rhdh", "-o", "json"))["data"] == {"b": "2"}
    assert "plain" in await kubectl("get", "isvc", "-A")
    assert "labeled" in await kubectl("label", "isvc", "plain", "-n", "models", "team=a")
    assert "annotated" in await kubectl("annotate", "cm", "cache", "-n", "rhdh", "note=b")
    assert "deleted" in await kubectl("delete", "isvc", "plain", "-n", "models")
    assert "deleted" in await kubectl("delete", "-f", str(manifests))
    assert secure.objects("configmaps") == secure.objects("inferenceservices") == []


async def test_the_process_offers_the_same(tmp_path: Path) -> None:
    manifest = tmp_path / "isvc.yaml"
    manifest.write_text(yaml.safe_dump_all([objects.isvc("loaded"), objects.configmap("cache")]))
    async with ProcessCluster(load=[manifest]) as cluster, client_of(cluster) as client:
        assert (await client.get(ISVCS)).names == ["loaded"]
        await cluster.apply(objects.isvc("applied"))
        await cluster.apply_all([objects.isvc(f"m-{number}") for number in range(3)])
        assert len(await cluster.objects("InferenceService", "models")) == 5
        await cluster.delete("inferenceservices", "models", "applied")
        assert await cluster.get("inferenceservices", "models", "applied") is None
        with pytest.raises(ApiError, match="not found"):
            await cluster.delete("inferenceservices", "models", "applied")
        with pytest.raises(ValueError, match="no resource type named 'nonsense'"):
            await cluster.objects("nonsense")

        await cluster.grant("t", "system:serviceaccount:rhdh:c", documented_rules("rhdh"))
        async with client_of(cluster, "t") as limited:
            assert (await limited.ask("DELETE", f"{CONFIG_MAPS}/cache")).status == 403
        assert {access.verb for access in await cluster.denied()} == {"delete"}
        assert await cluster.denied() < await cluster.used()

        fault = await cluster.fault("status", status=503, verb="list")
        assert (await client.get(ISVCS)).status == 503
        assert await fault.hits() == 1
        assert (await cluster.counts()).answers[503] == 1
        assert (await cluster.recent())[-1].status == 503
        await cluster.reset_counts()
        assert not (await cluster.counts()).requests

        await cluster.set_latency(Latency(read=0.001))
        revision = await cluster.revision()
        await cluster.install("llminferenceservices")
        await cluster.uninstall("llminferenceservices")
        await cluster.compact()
        async with client.watch(ISVCS, f"resourceVersion={revision}") as lines:
            assert (await lines.event())[0] == "ERROR"
        async with client.watch(ISVCS, f"resourceVersion={await cluster.revision()}&allowWatchBookmarks=1") as lines:
            await eventually(lambda: cluster.watches("inferenceservices"), what="the watch is open")
            assert await cluster.send_bookmarks() == 1
            assert (await lines.event())[0] == "BOOKMARK"
        await cluster.restart(lose_history=True)
        assert len((await client.get(ISVCS)).names) == 4


async def test_the_process_keeps_its_authority(tmp_path: Path) -> None:
    async with ProcessCluster(tls_dir=tmp_path / "tls") as first:
        assert first.url.startswith("https://")
        authority = first.ca_pem
        configuration = type.__call__(k8s.Configuration)
        kubeconfig = first.kubeconfig(tmp_path / "config")
        await config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        async with k8s.ApiClient(configuration) as api:
            assert (await k8s.VersionApi(api).get_code()).major == "1"
    async with ProcessCluster(tls_dir=tmp_path / "tls") as second:
        assert second.ca_pem == authority
