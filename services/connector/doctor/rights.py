"""Step "rights": which permissions the connector needs, and which are missing. No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.http.errors import RemoteError
from common.kube.errors import ROLE
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
from services.connector.doctor.report import Finding, FindingVerdict
from services.normalizer.normalize.connection import Resolving

_READ = ("get", "list", "watch")
_STORE = (*_READ, "create", "patch")


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
    # One missing binding is one cause: the rules that it would give are not listed then.
    told = [right for right in rights if not findings or right.resource == CONFIG_MAPS]
    for right in told:
        if not missing[right]:
            findings.append(Finding("ok", f"may {', '.join(right.verbs)} {right}, {right.purpose}"))
        else:
            lacking = ", ".join(missing[right])
            verdict: FindingVerdict = "warning" if right.component else "fault"
            findings.append(
                Finding(
                    verdict,
                    f"may not {lacking} {right}, {right.purpose}",
                    _rule(right, further, all_=missing[right] == list(right.verbs)),
                )
            )
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


def _rule(right: Right, further: bool, *, all_: bool) -> str:
    """Return the rule to add; where `all_` verbs are missing, the binding may be what is wrong."""
    kind = "Role" if right.namespace else "ClusterRole"
    where = f" in namespace {right.namespace}" if right.namespace else ""
    verbs = ", ".join(f'"{verb}"' for verb in right.verbs)
    bound = f"\nkubectl get {kind.lower()}binding {ROLE}{f' -n {right.namespace}' if right.namespace else ''} -o yaml"
    bound = f"{bound}     # its subjects must contain the account with its namespace" if all_ else ""
    overlay = "deploy/clusters/account" if further else "your overlay"
    offered = (
        f"\nor add deploy/rbac/components/{right.component} to the components of {overlay}" if right.component else ""
    )
    return (
        f"add this rule to the {kind} {ROLE}{where}, and check that a binding gives it to the account:\n"
        f'- apiGroups: ["{right.resource.group}"]\n'
        f'  resources: ["{right.resource.plural}"]\n'
        f"  verbs: [{verbs}]{offered}{bound}"
    )
