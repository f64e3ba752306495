"""Steps "credentials" and "rights": our account at the API server, and its permissions. No I/O."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from common.http.client import RemoteError, StatusError, Unreachable
from common.http.proxies import is_inside
from common.kube.credentials import Credentials
from common.kube.errors import ROLE, remedy_of
from common.kube.resources import (
    CLUSTER_SERVING_RUNTIMES,
    CONFIG_MAPS,
    GATEWAYS,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    NAMESPACES,
    PODS,
    ROUTES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    SERVING_RUNTIMES,
    Resource,
)
from services.connector.doctor.asking import Asked
from services.connector.doctor.report import Finding, Verdict, listed
from services.normalizer.normalize.connection import Resolving

SKEW = 60.0
"""Largest difference between two clocks, in seconds."""
_READ = ("get", "list", "watch")
_STORE = (*_READ, "create", "patch")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Our credentials and account; `ahead` is in seconds, see `Api.ahead`. `expires`: seconds since the epoch.

    `has_cache`: the cache is kept in this cluster, so that the account is the connector's own.
    """

    credentials: Credentials
    ahead: Asked[float]
    user: Asked[str]
    now: float
    expires: float | None = None
    proxies: tuple[str, ...] = ()
    has_cache: bool = True


@dataclass(frozen=True, slots=True)
class Right:
    """A permission: verbs on a kind of objects, in one namespace or in all (empty), and its purpose.

    `component`: the directory in deploy/rbac/components that grants it; without one, the permission is always needed.
    """

    verbs: tuple[str, ...]
    resource: Resource
    namespace: str
    purpose: str
    component: str = ""

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.resource} {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What determines which permissions are needed.

    `watched` are the namespaces of WATCH_NAMESPACES, `searched` those in which registries are trusted, `own` is that of
    the cache, empty if it is in another cluster or unknown. `gateways`: registries are also found by HTTPRoutes. `llm`
    are LLMInferenceServices if the cluster has them; `runtimes`, `connections` and `namespaces` are read if the
    settings say so. `further`: it is not the cluster that the connector runs in. `followed`: its models are shown.
    """

    watched: tuple[str, ...]
    searched: tuple[str, ...]
    own: str
    has_routes: bool
    gateways: bool = False
    llm: Resource | None = None
    runtimes: bool = False
    namespaces: bool = False
    connections: Resolving = "false"
    further: bool = False
    followed: bool = True


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
        direction = "ahead of" if login.ahead > 0 else "behind"
        findings.append(
            Finding(
                "warning",
                f"the clock of this machine is {abs(login.ahead):.0f} seconds {direction} that of the API server",
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
                "set it in the env of the container:\n"
                "- name: POD_NAMESPACE\n  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}",
            )
        )
    return findings


def _unreached(login: Login, error: RemoteError) -> Finding:
    if isinstance(error, StatusError) and error.status == 401:
        expired = login.expires is not None and login.expires < login.now
        why = "the token has expired" if expired else "the token is not accepted"
        return Finding("fault", f"{why}: {error}", login.credentials.refused)
    remedy = remedy_of(error)
    if isinstance(error, Unreachable) and "certificate" in error.cause:
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
            fault = "" if path.read_text().strip() else "is empty"
        except (OSError, UnicodeDecodeError) as error:
            fault = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        if fault:
            remedy = "write the token into this file; until then, requests to registries are sent without a token"
            findings.append(Finding("fault", f"the file with the token for registries, {path}, {fault}", remedy))
    return findings


def _account(login: Login) -> list[Finding]:
    user = login.user
    if isinstance(user, RemoteError):
        return [Finding("skipped", f"the account of these credentials cannot be determined: {user}")]
    if user.endswith(f":{ROLE}") or not login.credentials.namespace or not login.has_cache:
        return [Finding("ok", f"the account is {user}")]
    account = f"system:serviceaccount:{login.credentials.namespace}:{ROLE}"
    return [
        Finding(
            "warning",
            f"the account is {user}, but the connector usually runs as {account}",
            f"the rights below are those of {user}; to check a right of the connector's account:\n"
            f"kubectl auth can-i list inferenceservices.serving.kserve.io --all-namespaces --as {account}",
        )
    ]


def wanted_rights(scope: Scope) -> list[Right]:
    """Return the permissions that the connector needs."""
    rights = list(_reading_rights(scope)) if scope.followed else []
    if scope.own:
        rights.append(Right(_STORE, CONFIG_MAPS, scope.own, "to keep the cache"))
    return rights


def _reading_rights(scope: Scope) -> Iterator[Right]:
    for namespace in scope.watched or ("",):
        yield Right(_READ, INFERENCE_SERVICES, namespace, "to find the models")
        yield Right(_READ, SERVICES, namespace, "to find the addresses of models inside the cluster")
        yield Right(_READ, SERVICE_ACCOUNTS, namespace, "to see whether a model requires a token")
        yield from _optional_rights(scope, namespace)
    if scope.namespaces:
        yield Right(_READ, NAMESPACES, "", "to read what models inherit from their namespaces", "namespaces")
    for namespace in scope.searched if scope.watched else ("",):
        if scope.has_routes:
            yield Right(_READ, ROUTES, namespace, "to find model registries")
        if scope.gateways:
            for kind in (HTTP_ROUTES, GATEWAYS):
                yield Right(_READ, kind, namespace, "to find model registries", "gateways")
        if namespace and namespace not in scope.watched:
            yield Right(_READ, SERVICES, namespace, "to find model registries")


def _optional_rights(scope: Scope, namespace: str) -> Iterator[Right]:
    if scope.llm:
        yield Right(_READ, scope.llm, namespace, "to show LLMInferenceServices", "llm-inference-services")
    if scope.runtimes:
        for kind in (SERVING_RUNTIMES, *([] if namespace else [CLUSTER_SERVING_RUNTIMES])):
            yield Right(_READ, kind, namespace, "to read which API a runtime provides", "runtimes")
    if scope.connections in ("true", "secrets"):
        yield Right(("get",), SECRETS, namespace, "to read the locations of connections", "connections")
    if scope.connections == "pods":
        yield Right(("list",), PODS, namespace, "to read the buckets of connections", "pods")


def optional(scope: Scope) -> Finding:
    """Return which of the optional kinds are read, and what enables the others."""
    kinds = (
        ("LLMInferenceServices", scope.llm is not None, "the cluster has none"),
        ("connections", scope.connections != "false", "see RESOLVE_CONNECTIONS"),
        ("ServingRuntimes", scope.runtimes, "see READ_RUNTIMES"),
        ("namespaces", scope.namespaces, "see READ_NAMESPACES"),
        ("Gateways", scope.gateways, "see MODEL_REGISTRY_GATEWAYS"),
    )
    said = (f"{name} are {'read' if on else f'not read ({switch})'}" for name, on, switch in kinds)
    return Finding("ok", f"optional sources: {'; '.join(said)}")


def judge_rights(
    rights: Sequence[Right], answers: Mapping[tuple[Right, str], Asked[bool]], *, further: bool = False
) -> list[Finding]:
    """Return a finding for each permission; `answers` are by permission and verb, `further` as in `Scope`."""
    refusals = [error for error in answers.values() if isinstance(error, RemoteError)]
    if refusals:
        return [
            Finding(
                "skipped",
                f"the rights cannot be checked: {refusals[0]}",
                "the ClusterRole system:basic-user allows this check; usually every account is bound to it:\n"
                "kubectl get clusterrolebinding system:basic-user -o yaml",
            )
        ]
    missing = {right: [verb for verb in right.verbs if not answers[right, verb]] for right in rights}
    findings = list(_nothing_at_all(rights, missing, further))
    for right in rights:
        if not missing[right]:
            findings.append(Finding("ok", f"may {', '.join(right.verbs)} {right}, {right.purpose}"))
        else:
            lacking = ", ".join(missing[right])
            verdict: Verdict = "warning" if right.component else "fault"
            findings.append(Finding(verdict, f"may not {lacking} {right}, {right.purpose}", _rule(right, further)))
    return findings


def _nothing_at_all(rights: Sequence[Right], missing: Mapping[Right, list[str]], further: bool) -> Iterator[Finding]:
    """Return one finding if no role is bound to the account: then the binding is missing, not a rule."""
    read = [right for right in rights if right.resource != CONFIG_MAPS and not right.component]
    if read and all(len(missing[right]) == len(right.verbs) for right in read):
        kind = "RoleBinding" if read[0].namespace else "ClusterRoleBinding"
        overlay = f"deploy/rbac/overlays/{'namespaced' if read[0].namespace else 'rhoai'}"
        yield Finding(
            "fault",
            f"the account may not read anything: no {kind} gives it a role",
            f"kubectl get {kind.lower()} {ROLE} -o yaml     # its subjects must contain the account "
            "with its namespace\n"
            f"kubectl apply -k {'deploy/clusters/account' if further else overlay}"
            f"     # {'in that cluster, ' if further else ''}with your namespace instead of ai-rhdh",
        )


def _rule(right: Right, further: bool) -> str:
    kind = "Role" if right.namespace else "ClusterRole"
    where = f" in namespace {right.namespace}" if right.namespace else ""
    verbs = ", ".join(f'"{verb}"' for verb in right.verbs)
    overlay = "deploy/clusters/account" if further else "your overlay"
    offered = (
        f"\nor add deploy/rbac/components/{right.component} to the components of {overlay}" if right.component else ""
    )
    return (
        f"add this rule to the {kind} {ROLE}{where}, and check that a binding gives it to the account:\n"
        f'- apiGroups: ["{right.resource.group}"]\n'
        f'  resources: ["{right.resource.plural}"]\n'
        f"  verbs: [{verbs}]{offered}"
    )


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


def plurals(document: Mapping[str, Any]) -> Iterable[str]:
    """Return the plural names of the kinds in the discovery document of a version."""
    return [str(each.get("name")) for each in document.get("resources") or [] if isinstance(each, dict)]
