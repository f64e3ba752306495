"""Finds the credentials for the Kubernetes API.

They are searched in this order: the environment (the documented pod gets the keys `token` and `ca.crt` of a Secret as
variables), a mounted service account, the files in KUBECONFIG, `~/.kube/config`.
"""

from collections.abc import Mapping
from pathlib import Path

from common import texts
from common.kube.credentials import OTHER_AUTHORITY, Credentials, CredentialsError, MissingCredentials
from common.secrets import FileToken, StaticToken, is_sendable, read_token
from common.trust import Authority, TrustError, read_authority, system_trust, trust_only

MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The folder where the kubelet mounts a pod's service account."""


async def find_credentials(environ: Mapping[str, str], *, home: Path | None = None, mount: Path = MOUNT) -> Credentials:
    """Return the first credentials in the order above; `home` defaults to HOME.

    Raises:
        CredentialsError: there are none, or the first ones found are unusable (later ones are not tried).
    """
    token = _value(environ, "token") or _value(environ, "K8S_TOKEN")
    try:
        if token:
            return _from_environment(environ, token, mount)
        if (mount / "token").exists():
            return _from_mount(environ, mount)
    except TrustError as error:
        raise CredentialsError(
            f"the API server cannot be verified: {error}",
            "give the whole certificate of its authority, from -----BEGIN CERTIFICATE----- to the end",
        ) from error
    paths = kubeconfig_paths(environ, home=home)
    if paths:
        # Imported only here, because it takes time and memory: see the package's docstring.
        from common.kube.kubeconfig import load_kubeconfig

        return await load_kubeconfig(paths, namespace=_namespace(environ, mount))
    raise MissingCredentials(
        f"there are no credentials for a cluster: neither the environment variable token, nor {mount}/token, nor "
        "KUBECONFIG, nor ~/.kube/config exists",
        "in a pod, give the container the Secret rhdh-rhoai-connector-token with envFrom; elsewhere, log in to the "
        "cluster, for example with: oc login (connector run --manifests needs none)",
    )


def pod_authorities(environ: Mapping[str, str], *, mount: Path = MOUNT) -> list[Authority]:
    """Return the cluster's authorities that a pod is given, `ca.crt` and `service-ca.crt`: as variables, or mounted.

    Raises:
        TrustError: a mounted one cannot be read.
    """
    names = ("ca.crt", "service-ca.crt")
    given = [(f"the variable {name}", environ.get(name, "")) for name in names]
    return given + [read_authority("the mounted", mount / name) for name in names if (mount / name).exists()]


def direct_credentials(*, server: str, token_file: Path, authority: Authority | None, name: str) -> Credentials:
    """Return the credentials for an API server with a given address, token and authority; `name` is the cluster's.

    Raises:
        CredentialsError: the token cannot be read, or the authority contains no certificate.
    """
    try:
        if not read_token(token_file):
            raise CredentialsError(f"tokenFile {token_file} is empty: write the account's token into it")
        context = trust_only(authority) if authority is not None else system_trust()
    except texts.UnreadableFile as error:
        remedy = "" if isinstance(error, texts.MissingFile) else "write the account's token, and nothing else, into it"
        raise CredentialsError(f"tokenFile {error}", remedy) from error
    except TrustError as error:
        raise CredentialsError(str(error)) from error
    return Credentials(
        server=server,
        token=FileToken(token_file),
        ssl=context,
        namespace=None,
        origin=f"cluster {name} of CLUSTERS_FILE",
        refused=f"the token in {token_file} is not, or no longer, valid for cluster {name}: write a new one into that "
        "file; the connector reads it again by itself",
        distrusted=f"{authority[0] if authority else 'none of the authorities of the system'} is not the one of this "
        f"API server: set its authority in caFile or caData of cluster {name}",
    )


def _from_environment(environ: Mapping[str, str], token: str, mount: Path) -> Credentials:
    if not is_sendable(token):
        raise CredentialsError(
            "the environment variable token contains something else than one line of ASCII",
            "give the container the Secret of the service account as it is, with envFrom",
        )
    authority = _value(environ, "ca.crt")
    distrusted = OTHER_AUTHORITY
    if authority:
        context = trust_only(("the environment variable ca.crt", authority))
    elif (mount / "ca.crt").exists():
        context = trust_only(read_authority("the certificate authority", mount / "ca.crt"))
    else:
        context = system_trust()
        distrusted = (
            "the token comes without a certificate authority: give the container the key ca.crt too, with envFrom of "
            "the Secret rhdh-rhoai-connector-token"
        )
    return Credentials(
        server=_in_cluster_server(environ, "the environment variable token"),
        token=StaticToken(token),
        ssl=context,
        namespace=_namespace(environ, mount),
        origin="the environment variable token",
        refused="the token in the environment is not, or no longer, valid: if the Secret rhdh-rhoai-connector-token "
        "or its service account was created again, restart the pod, so that it gets the new token",
        distrusted=distrusted,
    )


def _from_mount(environ: Mapping[str, str], mount: Path) -> Credentials:
    return Credentials(
        server=_in_cluster_server(environ, f"the service account in {mount}"),
        token=FileToken(mount / "token"),
        ssl=trust_only(read_authority("the certificate authority", mount / "ca.crt")),
        namespace=_namespace(environ, mount),
        origin=f"the service account in {mount}",
        refused=f"the token in {mount}/token is not valid: if the service account was created again, restart the pod, "
        "or wait until the kubelet renews the token",
    )


def _in_cluster_server(environ: Mapping[str, str], origin: str) -> str:
    host = _value(environ, "KUBERNETES_SERVICE_HOST").strip("[]")
    if not host:
        raise CredentialsError(
            f"there is a token ({origin}), but KUBERNETES_SERVICE_HOST, the address of the API server, is not set",
            "Kubernetes sets it in every pod; elsewhere, unset the variable token to use the kubeconfig",
        )
    port = _value(environ, "KUBERNETES_SERVICE_PORT") or "443"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise CredentialsError(f"KUBERNETES_SERVICE_PORT is {port!r}: it must be a port number, such as 443")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _namespace(environ: Mapping[str, str], mount: Path) -> str | None:
    for name in ("POD_NAMESPACE", "NAMESPACE", "namespace"):
        if value := _value(environ, name):
            return value
    try:
        return texts.read_file(mount / "namespace").strip() or None
    except texts.UnreadableFile:
        return None


def kubeconfig_paths(environ: Mapping[str, str], *, home: Path | None = None) -> list[Path]:
    """Return the existing kubeconfig files: those in KUBECONFIG, else the default one.

    Raises:
        CredentialsError: none of the files in KUBECONFIG exists.
    """
    listed = [Path(entry).expanduser() for entry in _value(environ, "KUBECONFIG").split(":") if entry]
    if listed:
        present = [path for path in listed if path.exists()]
        if not present:
            raise CredentialsError(f"KUBECONFIG names {', '.join(map(str, listed))}, which does not exist")
        return present
    if home is None and _value(environ, "HOME"):
        home = Path(_value(environ, "HOME"))
    default = home / ".kube" / "config" if home else None
    return [default] if default and default.exists() else []


def _value(environ: Mapping[str, str], name: str) -> str:
    # Values read from files often end in CR or LF.
    return environ.get(name, "").strip()
