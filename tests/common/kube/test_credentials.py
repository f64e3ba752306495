import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from common.http.errors import Unreachable
from common.kube.client import KubeClient
from common.kube.credentials import Credentials, CredentialsError
from common.kube.environment import direct_credentials, find_credentials
from common.kube.metrics import KubeMetrics
from common.kube.resources import CONFIG_MAPS
from tests.fakes.kubernetes import FakeCluster

IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    return tmp_path / "serviceaccount"


@pytest.fixture
def mounted(mount: Path) -> Path:
    mount.mkdir()
    (mount / "token").write_text("mounted-token\n")
    (mount / "namespace").write_text("mounted-namespace\n")
    (mount / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    return mount


def authorities(credentials: Credentials) -> int:
    assert isinstance(credentials.ssl, ssl.SSLContext)
    assert credentials.ssl.verify_mode == ssl.CERT_REQUIRED
    assert credentials.ssl.check_hostname
    return credentials.ssl.cert_store_stats()["x509_ca"]


def token_of(credentials: Credentials) -> str | None:
    return credentials.token() if credentials.token else None


async def test_the_secret_in_the_environment_as_envfrom_gives_it(mount: Path) -> None:
    environ = {
        **IN_CLUSTER,
        "token": "from-secret\r\n",
        "ca.crt": trustme.CA().cert_pem.bytes().decode() + "\r\n",
        "namespace": "rhdh\r\n",
    }
    credentials = await find_credentials(environ, mount=mount)
    assert credentials.server == "https://10.96.0.1:6443"
    assert token_of(credentials) == "from-secret"
    assert credentials.namespace == "rhdh"
    assert authorities(credentials) == 1
    assert "environment" in credentials.origin
    assert "from-secret" not in repr(credentials)


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        ({"token": "a", "K8S_TOKEN": "b"}, "a"),
        ({"token": " \r\n", "K8S_TOKEN": "b\n"}, "b"),
        ({"K8S_TOKEN": "b"}, "b"),
        ({}, "mounted-token"),
    ],
)
async def test_the_environment_goes_before_the_mount(environ: dict[str, str], token: str, mounted: Path) -> None:
    credentials = await find_credentials({**IN_CLUSTER, **environ, "KUBECONFIG": "/nowhere"}, mount=mounted)
    assert token_of(credentials) == token


@pytest.mark.parametrize(
    ("host", "port", "server"),
    [
        ("10.96.0.1", "443", "https://10.96.0.1:443"),
        ("fd00:10:96::1", "443", "https://[fd00:10:96::1]:443"),
        ("[fd00::1]", "6443\n", "https://[fd00::1]:6443"),
        ("api.cluster.example.com", "", "https://api.cluster.example.com:443"),
    ],
)
async def test_the_server_of_the_pod(host: str, port: str, server: str, mounted: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    assert (await find_credentials(environ, mount=mounted)).server == server


@pytest.mark.parametrize("port", ["tcp://10.0.0.1:443", "0", "65536", "-1"])
async def test_a_port_that_is_none(port: str, mounted: Path) -> None:
    with pytest.raises(CredentialsError, match=r"KUBERNETES_SERVICE_PORT .* must be a port"):
        await find_credentials({**IN_CLUSTER, "KUBERNETES_SERVICE_PORT": port}, mount=mounted)


@pytest.mark.parametrize("environ", [{"token": "a"}, {}])
async def test_a_token_without_a_server_says_so(environ: dict[str, str], mounted: Path) -> None:
    with pytest.raises(CredentialsError, match="KUBERNETES_SERVICE_HOST"):
        await find_credentials(environ, mount=mounted)


async def test_a_token_without_ca_is_verified_by_the_mounted_authority(mounted: Path) -> None:
    assert authorities(await find_credentials({**IN_CLUSTER, "token": "a"}, mount=mounted)) == 1


async def test_a_token_without_any_ca_is_verified_by_the_system(mount: Path) -> None:
    credentials = await find_credentials({**IN_CLUSTER, "token": "a"}, mount=mount)
    assert authorities(credentials) == ssl.create_default_context().cert_store_stats()["x509_ca"]


@pytest.mark.parametrize(
    "authority",
    [
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "zertifikät",
    ],
)
async def test_an_unreadable_ca_is_an_error_that_says_so(authority: str, mounted: Path) -> None:
    with pytest.raises(CredentialsError, match=r"environment variable ca.crt is not a certificate authority"):
        await find_credentials({**IN_CLUSTER, "token": "a", "ca.crt": authority}, mount=mounted)
    (mounted / "ca.crt").write_text(authority)
    with pytest.raises(CredentialsError, match=r"serviceaccount/ca.crt is not a certificate authority"):
        await find_credentials(IN_CLUSTER, mount=mounted)


async def test_comments_around_the_certificate_do_not_matter(mount: Path) -> None:
    authority = "# gültig für den Testcluster\n" + trustme.CA().cert_pem.bytes().decode() + "# Ende, schön\n"
    assert authorities(await find_credentials({**IN_CLUSTER, "token": "a", "ca.crt": authority}, mount=mount)) == 1


async def test_a_mounted_account_without_ca_is_an_error(mounted: Path) -> None:
    (mounted / "ca.crt").unlink()
    with pytest.raises(CredentialsError, match=r"authority .*/ca.crt cannot be read"):
        await find_credentials(IN_CLUSTER, mount=mounted)


async def test_a_mounted_token_is_read_again_when_the_kubelet_renews_it(mounted: Path) -> None:
    credentials = await find_credentials(IN_CLUSTER, mount=mounted)
    assert token_of(credentials) == "mounted-token"
    (mounted / "new").write_text("second-token\n")
    (mounted / "new").replace(mounted / "token")
    assert token_of(credentials) == "second-token"
    (mounted / "token").unlink()
    assert token_of(credentials) == "second-token"


@pytest.mark.parametrize(
    ("environ", "namespace"),
    [
        ({"POD_NAMESPACE": "pod\r\n", "NAMESPACE": "b", "namespace": "c"}, "pod"),
        ({"POD_NAMESPACE": "", "NAMESPACE": "b", "namespace": "c"}, "b"),
        ({"namespace": "c"}, "c"),
        ({}, "mounted-namespace"),
    ],
)
async def test_the_namespace(environ: dict[str, str], namespace: str, mounted: Path) -> None:
    assert (await find_credentials({**IN_CLUSTER, **environ}, mount=mounted)).namespace == namespace


async def test_nothing_found_says_what_was_looked_for(mount: Path, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError) as caught:
        await find_credentials({"HOME": str(tmp_path)}, mount=mount)
    for place in ("token", str(mount), "KUBECONFIG", "~/.kube/config"):
        assert place in str(caught.value)


async def test_requests_are_verified_against_the_given_authority_only(kube_metrics: KubeMetrics, mount: Path) -> None:
    async with FakeCluster(tls=True) as cluster:
        cluster.add_namespace("rhdh")
        environ = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(cluster.port),
            "token": cluster.token,
        }
        right = await find_credentials({**environ, "ca.crt": cluster.ca_pem}, mount=mount)
        async with KubeClient(credentials=right, metrics=kube_metrics) as client:
            listing = await client.list_all(CONFIG_MAPS, "rhdh", convert=dict)
            assert listing.items == []
        another = trustme.CA().cert_pem.bytes().decode()
        for wrong in (
            await find_credentials({**environ, "ca.crt": another}, mount=mount),
            await find_credentials(environ, mount=mount),
        ):
            async with KubeClient(credentials=wrong, metrics=kube_metrics) as client:
                with pytest.raises(Unreachable, match="certificate not trusted"):
                    await client.list_all(CONFIG_MAPS, "rhdh", convert=dict)


@pytest.mark.parametrize("module", ["common.kube.client", "common.kube.reflector", "common.kube.credentials"])
def test_the_kubernetes_package_is_not_loaded_unless_needed(module: str) -> None:
    program = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "aiohttp" in loaded or module.endswith("credentials")
    assert "kubernetes_asyncio" not in loaded
    assert "yaml" not in loaded


@pytest.mark.parametrize("token", ["one\ntwo", "t\udcff"])
async def test_a_token_that_cannot_be_sent_is_an_error_that_says_so(token: str, mount: Path) -> None:
    with pytest.raises(CredentialsError, match="variable token contains something else than one line of ASCII; give"):
        await find_credentials({**IN_CLUSTER, "token": token}, mount=mount)


def test_a_token_file_that_is_no_text_is_an_error_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"t\xffken")
    with pytest.raises(CredentialsError, match=r"tokenFile .*/token cannot be read: it is neither UTF-8 .*; write"):
        direct_credentials(server="https://x", token_file=file, authority=None, name="a")


async def test_a_namespace_that_is_no_text_counts_as_absent(mounted: Path) -> None:
    (mounted / "namespace").write_bytes(b"\xff")
    assert (await find_credentials(IN_CLUSTER, mount=mounted)).namespace is None
