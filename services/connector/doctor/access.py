"""Steps "credentials" and "kinds": our account at the API server, and whether it has KServe. No I/O."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from common import texts
from common.http.errors import NotTrusted, RemoteError, StatusError, Unreachable
from common.http.proxies import is_inside
from common.kube.credentials import Credentials
from common.kube.errors import ROLE, remedy_of
from common.kube.resources import INFERENCE_SERVICES
from common.secrets import read_token
from common.words import counted, listed
from services.connector.doctor.asking import Asked, plurals
from services.connector.doctor.report import Finding

SKEW = 60.0
"""Largest difference between two clocks, in seconds."""
_ACCOUNTS = "system:serviceaccount:"
_OWN_NAMESPACE = "- name: POD_NAMESPACE\n  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}"
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Our credentials and account; `ahead`: seconds, see `ApiServerClient.ahead`; `expires`: seconds since the epoch.

    `has_cache`: the cache is kept in this cluster, so that the account is the connector's own.
    """

    credentials: Credentials
    ahead: Asked[float]
    user: Asked[str]
    now: float
    expires: float | None = None
    proxies: tuple[str, ...] = ()
    has_cache: bool = True


def proxies_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that set a proxy."""
    return tuple(name for name in _PROXIES if environ.get(name, "").strip())


def expiry_of(token: str | None) -> float | None:
    """Return the expiry of a token (RFC 7519, exp), None if it has none."""
    try:
        payload = (token or "").split(".")[1]
        expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    return float(expires) if isinstance(expires, int | float) else None


def judge_login(login: Login) -> list[Finding]:
    """Return findings about credentials, certificate authority, clock and account."""
    found = login.credentials
    findings = [Finding("ok", f"the credentials are those of {found.origin}, for {found.server}")]
    if isinstance(login.ahead, RemoteError):
        findings.append(_unreached(login, login.ahead))
        return findings
    if abs(login.ahead) > SKEW:
        seconds = abs(login.ahead)
        ahead = counted(round(seconds), "second") if seconds < 1800 else counted(round(seconds / 60), "minute")
        direction = "ahead of" if login.ahead > 0 else "behind"
        findings.append(
            Finding(
                "warning",
                f"the clock of this machine is {ahead} {direction} that of the API server",
                "synchronise both clocks with NTP: with a wrong clock, valid tokens and certificates are rejected",
            )
        )
    findings.append(Finding("ok", f"the API server answers at {found.server}, and its certificate is verified"))
    findings += _account(login)
    if found.namespace is None and login.has_cache:
        findings.append(
            Finding(
                "fault",
                "the namespace of the cache is not known",
                f"set it in the env of the container:\n{_OWN_NAMESPACE}",
            )
        )
    return findings


def _unreached(login: Login, error: RemoteError) -> Finding:
    if isinstance(error, StatusError) and error.status == 401:
        expired = login.expires is not None and login.expires < login.now
        why = "the token has expired" if expired else "the token is not accepted"
        return Finding("fault", f"{why}: {error}", login.credentials.refused)
    remedy = remedy_of(error)
    if isinstance(error, NotTrusted):
        remedy = login.credentials.distrusted
    if isinstance(error, Unreachable) and login.proxies:
        direct = is_inside(urlsplit(login.credentials.server).hostname or "")
        way = "directly, not through a proxy" if direct else "through the proxy, unless NO_PROXY contains its host"
        remedy += f"\na proxy is set ({listed(login.proxies)}): the connector connects to the API server {way}"
    return Finding("fault", f"the request to the API server failed: {error}", remedy)


def judge_token_files(tokens: Mapping[str, Path]) -> list[Finding]:
    """Return a finding for each file with a token for registries that cannot be used."""
    findings = []
    for path in tokens.values():
        try:
            fault = "" if read_token(path) else "is empty"
        except texts.UnreadableFile as error:
            fault = f"cannot be read: {error.reason}"
        if fault:
            remedy = "write the token into this file; until then, requests to registries are sent without a token"
            findings.append(Finding("fault", f"the file with the token for registries, {path}, {fault}", remedy))
    return findings


def _account(login: Login) -> list[Finding]:
    user = login.user
    if isinstance(user, RemoteError):
        return [Finding("skipped", f"the account of these credentials cannot be determined: {user}")]
    namespace = login.credentials.namespace
    if not namespace or not login.has_cache:
        return [Finding("ok", f"the account is {user}")]
    own = user.removeprefix(_ACCOUNTS).partition(":")[0] if user.startswith(_ACCOUNTS) else namespace
    if own != namespace:
        return [
            Finding(
                "warning",
                f"the account is {user}, but the namespace of the cache is {namespace}",
                f"if the pod is in namespace {own}, correct POD_NAMESPACE in the container's env:\n{_OWN_NAMESPACE}",
            )
        ]
    if user.endswith(f":{ROLE}"):
        return [Finding("ok", f"the account is {user}")]
    account = f"{_ACCOUNTS}{namespace}:{ROLE}"
    return [
        Finding(
            "warning",
            f"the account is {user}, but the connector usually runs as {account}",
            f"the rights below are those of {user}; to check a right of the connector's account:\n"
            f"kubectl auth can-i list inferenceservices.serving.kserve.io --all-namespaces --as {account}",
        )
    ]


def judge_kinds(
    kserve: Asked[Mapping[str, Any] | None],
    versions: Asked[Mapping[str, Any] | None],
    *,
    has_routes: bool,
    searched: bool = True,
) -> list[Finding]:
    """Return whether the cluster has InferenceServices, from the discovery documents of v1beta1 and of the group.

    `searched`: registries are looked for in it.
    """
    where = f"{INFERENCE_SERVICES.group}/{INFERENCE_SERVICES.version}"
    for answer in (kserve, versions):
        if isinstance(answer, RemoteError):
            return [Finding("skipped", f"the API server does not say which kinds of objects it has: {answer}")]
    findings = []
    if isinstance(kserve, Mapping) and INFERENCE_SERVICES.plural in plurals(kserve):
        findings.append(Finding("ok", f"the cluster has InferenceServices ({where})"))
    elif isinstance(versions, Mapping):
        served = listed(str(each.get("version")) for each in versions.get("versions") or [] if isinstance(each, dict))
        findings.append(
            Finding(
                "fault",
                f"KServe is installed, but not with InferenceServices of {where}; its versions are: {served}",
                "kubectl get crd inferenceservices.serving.kserve.io -o yaml     # see its versions and conditions",
            )
        )
    else:
        findings.append(
            Finding(
                "fault",
                "KServe is not installed: there is no API group serving.kserve.io",
                "install KServe, or set spec.components.kserve.managementState to Managed in the DataScienceCluster:\n"
                "kubectl edit datasciencecluster     # the connector needs no restart afterwards",
            )
        )
    kind = "the cluster is OpenShift: model registries are found by their Routes and Services"
    if searched:
        findings.append(
            Finding(
                "ok",
                kind if has_routes else "the cluster is not OpenShift: model registries are found by their Services",
            )
        )
    return findings
