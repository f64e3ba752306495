"""Steps "models" and "registries": the deployments, and the registries and catalogs. No I/O."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from common.http.errors import RemoteError, StatusError
from common.kube.errors import remedy_of
from common.kube.resources import INFERENCE_SERVICES
from common.words import counted, listed
from services.connector.doctor.asking import Asked, is_forbidden, short
from services.connector.doctor.registries import FirstPage
from services.connector.doctor.report import MISSING_RULE, Finding
from services.normalizer.facts import DeploymentKind
from services.normalizer.hidden import unready
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.selection import Selection
from services.normalizer.sources.faults import fault_of, no_address
from services.normalizer.sources.kubeflow.discovery import Discovery
from services.normalizer.sources.refs import SettingNames, SourceRef

MOST = 20
"""How many objects are listed one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The first answer of a registry or catalog."""

    ref: SourceRef
    answer: Asked[FirstPage]
    sent_token: bool
    """Whether the request contained the token."""
    refused: bool = False
    """Whether the cluster's own API server does not accept the token that it contained, or there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentList:
    """The deployments of one kind in one namespace (empty: in all), or why they cannot be listed."""

    kind: DeploymentKind
    namespace: str
    answer: Asked[Sequence[Deployment]]


def judge_models(
    found: Sequence[DeploymentList], selection: Selection, *, setting: str = "WATCH_NAMESPACES"
) -> list[Finding]:
    """Return findings about the deployments, and why some are hidden; `setting` is that of the watched namespaces."""
    findings: list[Finding] = []
    for each in found:
        where = f"in namespace {each.namespace}" if each.namespace else "in any namespace"
        if isinstance(each.answer, RemoteError):
            optional = each.kind == "LLMInferenceService"
            text = f"{each.kind}s {where} cannot be listed: {short(each.answer)}"
            is_absent = isinstance(each.answer, StatusError) and each.answer.status == HTTPStatus.NOT_FOUND
            remedy = '"Kinds" above shows what is missing' if is_absent else _remedy(each.answer)
            findings.append(Finding("warning" if optional else "fault", text, remedy))
        elif not each.answer and each.kind == "InferenceService":
            findings.append(_judge_nothing(where, each.namespace, setting))
    watched = sorted({each.namespace for each in found if each.namespace})
    where = f" in the namespaces of {setting} ({listed(watched)}), which are all that is watched" if watched else ""
    for kind in ("InferenceService", "LLMInferenceService"):
        listed_ = [each.answer for each in found if each.kind == kind]
        deployments = [facts for answer in listed_ if not isinstance(answer, RemoteError) for facts in answer]
        findings += _judge_deployments(kind, deployments, selection, where)
    return findings


def _judge_nothing(where: str, namespace: str, setting: str) -> Finding:
    if namespace:
        return Finding(
            "warning",
            f"there is no InferenceService {where}, or the namespace does not exist",
            f"kubectl get namespace {namespace}; kubectl get {INFERENCE_SERVICES.plural} -A\n"
            f"correct the name if it is misspelt in {setting}",
        )
    return Finding(
        "warning",
        f"there is no InferenceService {where}",
        f"deploy a model; this command lists all: kubectl get {INFERENCE_SERVICES.plural} -A",
    )


def _judge_deployments(
    kind: str, deployments: Sequence[Deployment], selection: Selection, where: str
) -> Iterator[Finding]:
    chosen = [selection.applied(facts) for facts in deployments]
    hidden = [facts for facts in chosen if not facts.readiness.ready]
    if chosen:
        yield Finding("ok", f"{counted(len(chosen), kind)}, {len(chosen) - len(hidden)} ready to be shown{where}")
    for facts in hidden[:MOST]:
        why = unready(facts)
        yield Finding("warning", f"{facts.namespace}/{facts.name} is not shown: {why}", why.remedy)
    if len(hidden) > MOST:
        yield Finding(
            "warning",
            f"{counted(len(hidden) - MOST, 'more is', 'more are')} not shown",
            "connector doctor model NAME     # says why",
        )
    problems = [problem for facts in chosen for problem in facts.problems if problem.severity == "error"]
    for problem in problems[:MOST]:
        yield Finding("fault", f"{problem.object}: {problem.message}", problem.remedy)


def judge_search(found: Mapping[str, Asked[Sequence[Any]]]) -> list[Finding]:
    """Return a finding for each kind of objects that could not be searched for registries."""
    return [
        Finding(
            "warning",
            f"{kind} cannot be searched for model registries: {short(answer)}",
            _remedy(answer),
        )
        for kind, answer in found.items()
        if isinstance(answer, RemoteError)
    ]


def _remedy(error: RemoteError) -> str:
    return MISSING_RULE if is_forbidden(error) else remedy_of(error)


def judge_authority(origin: str, pem: str) -> list[Finding]:
    """Return a finding if an authority is empty: it is then ignored."""
    if pem.strip():
        return []
    return [
        Finding(
            "warning",
            f"{origin} is empty, so only the authorities of the system are trusted",
            "write the certificate of the registries' authority into it; a ConfigMap that OpenShift fills in has the\n"
            "label config.openshift.io/inject-trusted-cabundle=true",
        )
    ]


def judge_registries(discovery: Discovery, probes: Sequence[Probe], looked_for: SettingNames | None) -> list[Finding]:
    """Return findings about each registry and catalog, including those that are not read.

    `looked_for`: the settings by which they are discovered in a cluster; then a finding says if there are none.
    """
    findings = [
        Finding("fault" if problem.object.startswith("MR_ROUTE") else "warning", _told(problem), problem.remedy)
        for problem in discovery.problems
    ]
    findings += [_judge_probe(probe) for probe in probes]
    kinds = Counter(ref.kind for ref in discovery.refs)
    if looked_for is None:
        return findings
    if not kinds["registry"] and not discovery.untrusted:
        findings.append(
            Finding(
                "warning",
                "no model registry was found: models are shown with the data of their InferenceServices",
                "the connector works without one, too. It finds registries by the labels of their Routes and Services "
                f"in the namespaces of\n{looked_for.namespaces}; to name one by its address, set {looked_for.urls}",
            )
        )
    elif not kinds["catalog"]:
        findings.append(
            Finding(
                "skipped",
                "no model catalog was found: model cards come only from the registries",
                "if you have a model catalog, set MODEL_CATALOG_URL to its address",
            )
        )
    return findings


def _told(problem: Any) -> str:
    return f"{problem.object}: {problem.message}"


def _judge_probe(probe: Probe) -> Finding:
    ref = probe.ref
    if not ref.url:
        fault = no_address(ref)
        return Finding("fault", f"{ref.label}: {fault.reason}", fault.remedy)
    if ref.api == "kubeflow":
        with_what = "with the token" if probe.sent_token else "without a token"
    else:
        with_what = "with its credentials" if probe.sent_token else "without credentials"
    asked = f"{ref.label} at {ref.url} ({ref.origin}), {with_what}"
    if isinstance(probe.answer, RemoteError):
        fault = fault_of(ref, probe.answer)
        remedy = fault.remedy
        if fault.kind == "unauthorized" and probe.refused and ref.api == "kubeflow":
            remedy = '"Credentials and API server" above shows what is wrong with the token'
        elif fault.kind == "unauthorized" and not probe.sent_token and ref.api == "kubeflow":
            remedy = f"{ref.label} requires a token, and there is none to send: {ref.settings.renewal}"
        return Finding("fault", f"{asked}: {fault.reason.removeprefix(ref.url)}", remedy)  # the URL is in `asked`
    root, count, is_last = probe.answer
    what = counted(count, {"registry": "registered model", "catalog": "source", "openai": "model"}[ref.kind])
    what = what if is_last else f"at least {what}"
    if not ref.verify:
        return Finding(
            "warning",
            f"{asked}: {what} at {root}; its certificate is not verified",
            f"write its authority's certificate into a file, set {ref.settings.authority} to that file, and remove "
            f"{ref.id} from MODEL_REGISTRY_INSECURE",
        )
    return Finding("ok", f"{asked}: {what} at {root}")
