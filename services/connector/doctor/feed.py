"""Steps "feed" and "backstage": what the services of the pod say of themselves, and who has asked. No I/O."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.http.client import RemoteError, StatusError, Unreachable
from services.connector.doctor.asking import Asked
from services.connector.doctor.report import Finding, counted

_REQUESTS = re.compile(r"^rhoai_connector_http_requests_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_READERS = {
    "/list": "the plugin of the first generation (Developer Hub 1.8, 1.9)",
    "/api/{connector}/list": "the plugin of the second generation (Developer Hub 1.10 and later)",
    "/catalog-info.yaml": "Backstage's own reader",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """What the services answered; `inside` is whether the doctor is in their pod, as far as the environment tells.

    `ready` are the bodies of /readyz by service, of 200 and 503 alike; `listing` is the answer of /list, `metrics` that
    of location's /metrics.
    """

    inside: bool
    ready: Mapping[str, Asked[Mapping[str, Any]]]
    listing: Asked[Mapping[str, Any]]
    metrics: Asked[str]


def judge_feed(pod: Pod) -> list[Finding]:
    """Return which conditions do not hold, and what the feed serves."""
    if not pod.inside and all(isinstance(answer, Unreachable) for answer in pod.ready.values()):
        return [
            Finding(
                "skipped",
                "no service of the connector answers here",
                "kubectl port-forward -n NAMESPACE deployment/backstage-NAME 9090 7070 8081\n"
                "and run the doctor again; or run it in one of the containers",
            )
        ]
    one_process = _is_one_process(pod.ready.get("location"))
    findings: list[Finding] = []
    for service, answer in pod.ready.items():
        if one_process and service != "location" and isinstance(answer, Unreachable):
            continue
        findings += _judge_service(service, answer, inside=pod.inside)
    return [*findings, *_judge_listing(pod.listing)]


def judge_readers(pod: Pod) -> list[Finding]:
    """Return who has asked for the feed since location was started."""
    if isinstance(pod.metrics, RemoteError):
        return [Finding("skipped", "who has asked is not known: location does not answer")]
    asked = dict(_asked(pod.metrics))
    if not asked:
        return [
            Finding(
                "warning",
                "nobody has asked for the feed since location was started",
                "is the app-config of deploy/app-config among the --config of backstage-backend, and the plugin "
                "installed?\nDoes a later file replace discovery.endpoints or catalog.locations?",
            )
        ]
    return [
        Finding("ok", f"{reader} has asked {counted(round(count), 'time')}") for reader, count in sorted(asked.items())
    ]


def _is_one_process(ready: Asked[Mapping[str, Any]] | None) -> bool:
    """Return whether location's report is that of `connector run`, which has the conditions of all services."""
    return isinstance(ready, Mapping) and any(each["name"] == "store" for each in _conditions(ready))


def _conditions(ready: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in ready.get("conditions") or [] if isinstance(each, dict) and "name" in each]


def _judge_service(service: str, answer: Asked[Mapping[str, Any]], *, inside: bool) -> Iterator[Finding]:
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
        yield Finding("fault", f"{service}: {each['name']} does not hold: {reason}", remedy)


def _judge_listing(listing: Asked[Mapping[str, Any]]) -> Iterator[Finding]:
    if isinstance(listing, StatusError) and listing.status == 503:
        yield Finding(
            "fault",
            f"the feed answers 503, so Backstage keeps what it has: {listing.reason}",
            "a condition above says what is waited for",
        )
    elif isinstance(listing, RemoteError):
        yield Finding("skipped", f"what is served is not known: {listing}")
    else:
        uris = listing.get("uris") or []
        yield Finding("ok" if uris else "warning", f"the feed is complete and serves {counted(len(uris), 'model')}")


def _asked(metrics: str) -> Iterator[tuple[str, float]]:
    counts: dict[str, float] = {}
    for labels, value in _REQUESTS.findall(metrics):
        fields = dict(_LABEL.findall(labels))
        route = fields.get("route", "")
        route = "/api/{connector}/list" if route.startswith("/api/") and route.endswith("/list") else route
        if fields.get("server") == "location" and fields.get("method") == "GET" and route in _READERS:
            counts[_READERS[route]] = counts.get(_READERS[route], 0) + float(value)
    yield from counts.items()
