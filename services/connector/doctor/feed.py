"""Steps "feed" and "backstage": the conditions of the services, and which readers have read the feed. No I/O."""

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common import LOCATION
from common.http.client import UNKNOWN_PATH
from common.http.errors import RemoteError, StatusError, Unreachable
from common.words import counted
from services.connector.doctor.asking import Asked
from services.connector.doctor.report import Finding

_REQUESTS = re.compile(r"^rhoai_connector_http_requests_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_LAST = re.compile(r"^rhoai_connector_http_last_request_timestamp_seconds\{([^}]*)\} (\S+)$", re.MULTILINE)
_FIGURE = re.compile(r"^rhoai_connector_location_(documents|complete) (\S+)$", re.MULTILINE)
_OURS = "rhoai_connector_location_"
_LABEL = re.compile(r'(\w+)="([^"]*)"')
QUIET = 900.0
"""Seconds after its last request when a reader is reported as missing; slow ones read every five minutes."""
_REFUSALS = ("401", "403")
_WHY_EMPTY = '"Deployments" and "Hidden models" above say why no model is shown'
_READERS = {
    "/list": "the plugin of the first generation (Developer Hub 1.8, 1.9)",
    "/api/{connector}/list": "the plugin of the second generation (Developer Hub 1.10 and later)",
    "/catalog-info.yaml": "Backstage's own reader",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The answers of the services; `inside`: the doctor seems to run in their pod.

    `ready` are the bodies of /readyz by service, for status 200 and 503; `metrics` is that of location's /metrics. Its
    /list is not requested, because that would count as a request of a reader.
    """

    inside: bool
    ready: Mapping[str, Asked[Mapping[str, Any]]]
    metrics: Asked[str]


def judge_feed(pod: Pod) -> list[Finding]:
    """Return findings about the conditions, and how many models the feed serves."""
    if not pod.inside and all(isinstance(answer, Unreachable) for answer in pod.ready.values()):
        return [
            Finding(
                "skipped",
                "no service of the connector answers here",
                "kubectl port-forward -n NAMESPACE deployment/backstage-NAME 9090 7070 8081\n"
                "and run the doctor again; or run it in one of the containers:\n"
                "kubectl exec -n NAMESPACE deployment/backstage-NAME -c rhoai-normalizer -- connector doctor",
            )
        ]
    one_process = _is_one_process(pod.ready.get(LOCATION))
    findings: list[Finding] = []
    for service, answer in pod.ready.items():
        if one_process and service != LOCATION and isinstance(answer, Unreachable):
            continue
        findings += _judge_service(service, answer, inside=pod.inside)
    return [*findings, *_judge_served(pod.metrics)]


def judge_readers(pod: Pod, *, now: float) -> list[Finding]:
    """Return which readers have read the feed since location was started; `now` is in seconds since the epoch."""
    if isinstance(pod.metrics, RemoteError):
        return [Finding("skipped", "it is not known who reads the feed, because location does not answer")]
    if _OURS not in pod.metrics:
        return [Finding("skipped", "it is not known who reads the feed: location's metrics are not this connector's")]
    asked, last = _by_reader(_REQUESTS, pod.metrics), _by_reader(_LAST, pod.metrics)
    if not asked:
        unknown = round(sum(count for fields, count in _samples(_REQUESTS, pod.metrics) if fields["route"] == "none"))
        if unknown:
            return [
                Finding(
                    "warning",
                    f"no one has read the feed since location was started, but {counted(unknown, 'request')} asked for "
                    "paths that it does not have",
                    "with LOG_LEVEL=DEBUG, the log of location names them (request_answered); the key below\n"
                    "catalog.providers.modelCatalog, also in discovery.endpoints, must be "
                    "kserve-kubeflow-connector or CONNECTOR_ID",
                )
            ]
        return [
            Finding(
                "warning",
                "no one has read the feed since location was started",
                "check that backstage-backend gets the app-config of deploy/app-config with --config,\n"
                "that the plugin is installed, and that no later file replaces discovery.endpoints "
                "or catalog.locations",
            )
        ]
    refused = _by_reader(_REQUESTS, pod.metrics, codes=_REFUSALS)
    return [
        _judge_refusals(reader, sum(asked[reader]))
        if sum(asked[reader]) == sum(refused.get(reader, ()))
        else _judge_reader(reader, sum(asked[reader]), max(last.get(reader, [now])), now)
        for reader in sorted(asked)
    ]


def _judge_refusals(reader: str, count: float) -> Finding:
    return Finding(
        "fault",
        f"{reader} has asked for the feed {counted(round(count), 'time')}, and was refused each time (401 or 403)",
        "readers in the same pod need no token: let them ask at http://localhost:9090; others must send that of the\n"
        "Secret rhdh-rhoai-connector-token, or set OPEN_READS=true for the container of location",
    )


def _judge_reader(reader: str, count: float, last: float, now: float) -> Finding:
    ago = max(0.0, now - last)
    when = counted(round(ago), "second") if ago < 120 else counted(round(ago / 60), "minute")
    said = f"{reader} has read the feed {counted(round(count), 'time')}, most recently {when} ago"
    if ago <= QUIET:
        return Finding("ok", said)
    return Finding(
        "warning",
        said,
        "readers usually ask at least every five minutes; look for errors in the log of Backstage:\n"
        "kubectl logs -n NAMESPACE POD -c backstage-backend",
    )


def _is_one_process(ready: Asked[Mapping[str, Any]] | None) -> bool:
    """Return whether location's conditions are those of `connector run`, which include all services."""
    return isinstance(ready, Mapping) and any(each["name"] == "store" for each in _conditions(ready))


def _conditions(ready: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in ready.get("conditions") or [] if isinstance(each, dict) and "name" in each]


def _judge_service(service: str, answer: Asked[Mapping[str, Any]], *, inside: bool) -> Iterator[Finding]:
    if isinstance(answer, StatusError) and answer.status in UNKNOWN_PATH:
        message = (
            f"{service} is another program, such as an original sidecar: it has no /readyz, so its state is unknown"
        )
        yield Finding("skipped", message)
        return
    if isinstance(answer, RemoteError):
        yield Finding(
            "fault" if inside else "skipped",
            f"{service} does not answer: {answer}",
            "kubectl get pods -n NAMESPACE; kubectl logs -n NAMESPACE POD -c " + service if inside else "",
        )
        return
    bad = [each for each in _conditions(answer) if not each.get("ok")]
    if not bad:
        yield Finding("ok", f"{service} is ready")
    for each in bad:
        reason, _, remedy = str(each.get("reason") or "no reason given").partition("; ")
        yield Finding("fault", f"{service} is not ready, because of {each['name']}: {reason}", remedy)


def _judge_served(metrics: Asked[str]) -> Iterator[Finding]:
    if isinstance(metrics, RemoteError):
        yield Finding("skipped", f"it is not known what the feed serves: {metrics}")
        return
    figures = dict(_FIGURE.findall(metrics))
    if "documents" not in figures:
        yield Finding("skipped", "it is not known what the feed serves: its metrics are not those of this connector")
    elif float(figures.get("complete", 0)) == 0:
        yield Finding(
            "fault",
            "the feed answers 503, so Backstage keeps what it has",
            "the lines above say what the connector waits for",
        )
    else:
        number = round(float(figures["documents"]))
        message = f"the feed is complete and serves {counted(number, 'model')}"
        yield Finding("ok", message) if number else Finding("warning", message, _WHY_EMPTY)


def _samples(pattern: re.Pattern[str], metrics: str) -> Iterator[tuple[dict[str, str], float]]:
    """Yield the labels and values of a metric of requests to read something of location."""
    for labels, value in pattern.findall(metrics):
        fields = {"route": "", "method": "GET", **dict(_LABEL.findall(labels))}
        if fields.get("server") == LOCATION and fields["method"] == "GET":
            yield fields, float(value)


def _by_reader(pattern: re.Pattern[str], metrics: str, *, codes: Container[str] = ()) -> dict[str, list[float]]:
    """Return the values of a metric of readers' requests, by reader; `codes` are those that count, by default all."""
    found: dict[str, list[float]] = {}
    for fields, value in _samples(pattern, metrics):
        route = fields["route"]
        route = "/api/{connector}/list" if route.startswith("/api/") and route.endswith("/list") else route
        if route in _READERS and (not codes or fields.get("code") in codes):
            found.setdefault(_READERS[route], []).append(value)
    return found
