import base64
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from common.kube.client import KubeClient
from common.kube.credentials import Credentials, CredentialsError
from common.kube.environment import find_credentials
from common.kube.errors import KubeError
from common.kube.metrics import KubeMetrics
from common.kube.resources import CONFIG_MAPS
from tests.fakes.kubernetes import FakeCluster, documented_rules


def write(
    path: Path, *, cluster: Mapping[str, Any], user: Mapping[str, Any], context: Mapping[str, Any] | None = None
) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me", **(context or {})}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


async def find(tmp_path: Path, **environ: str) -> Credentials:
    return await find_credentials(environ, home=tmp_path / "home", mount=tmp_path / "no-mount")


async def reaches(credentials: Credentials, metrics: KubeMetrics) -> bool:
    async with KubeClient(credentials=credentials, metrics=metrics) as client:
        await client.list_all(CONFIG_MAPS, "default", convert=dict)
    return True


async def test_a_kubeconfig_with_token_and_authority(tmp_path: Path, kube_metrics: KubeMetrics) -> None:
    async with FakeCluster(tls=True) as cluster:
        file = cluster.kubeconfig(tmp_path / "config", namespace="from-context")
        credentials = await find(tmp_path, KUBECONFIG=str(file))
        assert credentials.server == cluster.url
        assert credentials.namespace == "from-context"
        assert str(file) in credentials.origin
        assert await reaches(credentials, kube_metrics)
        named = await find(tmp_path, KUBECONFIG=str(file), POD_NAMESPACE="rhdh")
        assert named.namespace == "rhdh"


async def test_the_home_directory_comes_last(tmp_path: Path, kube_metrics: KubeMetrics, cluster: FakeCluster) -> None:
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    file = cluster.kubeconfig(tmp_path / "home" / ".kube" / "config")
    assert await reaches(await find(tmp_path), kube_metrics)
    by_variable = await find_credentials({"HOME": str(tmp_path / "home")}, mount=tmp_path / "no-mount")
    assert str(file) in by_variable.origin


async def test_several_files_are_merged_and_missing_ones_passed_over(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "config", cluster={"server": "http://first:1"}, user={"token": "one"})
    (tmp_path / "b").mkdir()
    second = tmp_path / "b" / "config"
    second.write_text(yaml.safe_dump({"clusters": [{"name": "other", "cluster": {"server": "http://second:1"}}]}))
    credentials = await find(tmp_path, KUBECONFIG=f"{tmp_path}/missing:{first}::{second}\n")
    assert credentials.server == "http://first:1"


async def test_files_named_relative_to_the_config_are_found(tmp_path: Path, kube_metrics: KubeMetrics) -> None:
    async with FakeCluster(tls=True) as cluster:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "ca.pem").write_text(cluster.ca_pem)
        (tmp_path / "a" / "token").write_text(cluster.token + "\n")
        file = write(
            tmp_path / "a" / "config",
            cluster={"server": cluster.url, "certificate-authority": "ca.pem"},
            user={"tokenFile": "token"},
        )
        assert await reaches(await find(tmp_path, KUBECONFIG=str(file)), kube_metrics)


async def test_client_certificates(tmp_path: Path, kube_metrics: KubeMetrics) -> None:
    authority = trustme.CA()
    me = authority.issue_cert("me@example.com")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "ConfigMapList", "metadata": {"resourceVersion": "7"}, "items": []})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = TestServer(app, scheme="https", host="127.0.0.1")
    await server.start_server(ssl=context)
    try:
        file = write(
            tmp_path / "config",
            cluster={"server": str(server.make_url("")), "certificate-authority-data": base64_of(authority.cert_pem)},
            user={
                "client-certificate-data": base64_of(me.cert_chain_pems[0]),
                "client-key-data": base64_of(me.private_key_pem),
            },
        )
        credentials = await find(tmp_path, KUBECONFIG=str(file))
        assert credentials.token is not None
        assert credentials.token() is None
        assert await reaches(credentials, kube_metrics)
    finally:
        await server.close()


def base64_of(blob: trustme.Blob) -> str:
    return base64.b64encode(blob.bytes()).decode()


async def test_skipping_verification_is_honoured_with_a_warning(tmp_path: Path, kube_metrics: KubeMetrics) -> None:
    async with FakeCluster(tls=True) as cluster:
        file = write(
            tmp_path / "config",
            cluster={"server": cluster.url, "insecure-skip-tls-verify": True},
            user={"token": cluster.token},
        )
        with structlog.testing.capture_logs() as logs:
            credentials = await find(tmp_path, KUBECONFIG=str(file))
        assert [(line["log_level"], line["server"]) for line in logs] == [("warning", cluster.url)]
        assert await reaches(credentials, kube_metrics)


PLUGIN = """
import json, pathlib, sys
file = pathlib.Path(sys.argv[1])
first, _, rest = file.read_text().partition(",")
file.write_text(rest or first)
version = "client.authentication.k8s.io/v1"
print(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": first}}))
"""


def exec_user(tokens: Path) -> dict[str, Any]:
    """A user whose plugin gives one token of a file after the other."""
    args = ["-c", PLUGIN, str(tokens)]
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": args}
    return {"exec": {**command, "interactiveMode": "Never"}}


async def test_exec_plugins_are_asked_again_when_the_token_is_refused(
    tmp_path: Path, kube_metrics: KubeMetrics, cluster: FakeCluster
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("first,second")
    for token in ("first", "second"):
        cluster.grant(token, "me", documented_rules("default"))
    file = write(tmp_path / "config", cluster={"server": cluster.url}, user=exec_user(tokens))
    credentials = await find(tmp_path, KUBECONFIG=str(file))
    async with KubeClient(credentials=credentials, metrics=kube_metrics) as client:
        await client.list_all(CONFIG_MAPS, "default", convert=dict)
        cluster.revoke("first")
        await client.list_all(CONFIG_MAPS, "default", convert=dict)
        assert credentials.token is not None
        assert credentials.token() == "second"
        async with client.watch(CONFIG_MAPS, "default", version="1", seconds=10, idle=10):
            cluster.revoke("second")
        with pytest.raises(KubeError) as refused:
            await client.list_all(CONFIG_MAPS, "default", convert=dict)
        assert refused.value.status == 401
        assert "log in again" in refused.value.remedy


async def test_a_new_login_is_picked_up(tmp_path: Path, kube_metrics: KubeMetrics, cluster: FakeCluster) -> None:
    file = write(tmp_path / "config", cluster={"server": cluster.url}, user={"token": "old"})
    credentials = await find(tmp_path, KUBECONFIG=str(file))
    async with KubeClient(credentials=credentials, metrics=kube_metrics) as client:
        with pytest.raises(KubeError):
            await client.list_all(CONFIG_MAPS, "default", convert=dict)
        write(tmp_path / "config", cluster={"server": cluster.url}, user={"token": cluster.token})
        await client.list_all(CONFIG_MAPS, "default", convert=dict)


async def test_a_token_is_not_sent_to_another_server_after_a_new_login(
    tmp_path: Path, kube_metrics: KubeMetrics, cluster: FakeCluster
) -> None:
    file = write(tmp_path / "config", cluster={"server": cluster.url}, user={"token": "old"})
    credentials = await find(tmp_path, KUBECONFIG=str(file))
    write(tmp_path / "config", cluster={"server": "http://elsewhere:1"}, user={"token": "for elsewhere"})
    async with KubeClient(credentials=credentials, metrics=kube_metrics) as client:
        with structlog.testing.capture_logs() as logs, pytest.raises(KubeError):
            await client.list_all(CONFIG_MAPS, "default", convert=dict)
        (refused,) = [line for line in logs if line["log_level"] == "warning"]
        assert "another server" in refused["error"]
        assert credentials.token is not None
        assert credentials.token() == "old"


@pytest.mark.parametrize("text", ["", "{", "[]", "clusters: []", "current-context: x\ncontexts: []\n"])
async def test_unusable_files_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(CredentialsError, match=rf"^kubeconfig {tmp_path}/config: ."):
        await find(tmp_path, KUBECONFIG=str(tmp_path / "config"))


@pytest.mark.parametrize(
    ("cluster", "user", "complaint"),
    [
        ({"server": "https://a"}, {"username": "me", "password": "hidden"}, "user names with passwords"),
        ({"server": "https://a", "proxy-url": "http://p:3128"}, {"token": "t"}, "proxy-url"),
        ({"server": "https://a", "tls-server-name": "b"}, {"token": "t"}, "tls-server-name"),
        ({"server": "https://a", "certificate-authority-data": "AAAA"}, {"token": "t"}, "not a certificate authority"),
        ({"server": "https://a"}, {"exec": {"apiVersion": "v1", "command": "no-such-plugin"}}, "no-such-plugin"),
    ],
)
async def test_what_cannot_be_used_is_an_error_that_names_it(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], complaint: str
) -> None:
    file = write(tmp_path / "config", cluster=cluster, user=user)
    with pytest.raises(CredentialsError, match=complaint) as caught:
        await find(tmp_path, KUBECONFIG=str(file))
    assert "hidden" not in str(caught.value)


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"KUBECONFIG names /no/such, /nor/this, which does not exist"):
        await find(tmp_path, KUBECONFIG="/no/such:/nor/this")


async def test_a_file_that_is_no_yaml_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("clusters:\n- name: [a\n")
    with pytest.raises(CredentialsError, match=r": it is not valid YAML in line 3: ") as caught:
        await find(tmp_path, KUBECONFIG=str(tmp_path / "config"))
    assert "\n" not in str(caught.value)


async def test_a_context_that_is_missing_has_a_command(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("current-context: x\ncontexts: []\n")
    with pytest.raises(CredentialsError) as caught:
        await find(tmp_path, KUBECONFIG=str(tmp_path / "config"))
    assert caught.value.remedy == "to see its contexts: kubectl config get-contexts"
