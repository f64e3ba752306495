"""InferenceServices, Services and ServiceAccounts as facts: what the mapping needs and nothing more.

Ten thousand of these stay in memory, the objects they were read from do not.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from common import backstage
from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.labels import RegistryLabels, read_registry_labels
from services.normalizer.normalize.links import as_link
from services.normalizer.normalize.predictor import Predictor, read_predictor
from services.normalizer.normalize.profile import said_in_annotations
from services.normalizer.normalize.readiness import Readiness, read_readiness
from services.normalizer.normalize.tags import label_tag, tag_set

AUTH_ANNOTATION = "security.opendatahub.io/enable-auth"
_OWNER_KIND = "InferenceService"
_HTTP_PORT = 80
_LAST_PORT = 65535
_DEFAULT_NAMESPACE = "default"
_UNNAMED = "unnamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Isvc:
    """The facts of one InferenceService.

    `said` holds what the annotations for Backstage say, by field; `url` is where the isvc says it answers,
    `artifact` where its model's files are; both are absolute URLs or empty. `created` is in milliseconds.
    """

    namespace: str
    name: str
    uid: str
    created: int
    said: tuple[tuple[str, str], ...]
    tags: tuple[str, ...]
    registry: RegistryLabels | None
    artifact: str
    url: str
    asks_authentication: bool
    readiness: Readiness
    problems: tuple[Problem, ...]


class IsvcOwner(NamedTuple):
    """An owner reference to an InferenceService; `uid` may be empty."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A Service: which isvcs own it and at which port they answer (0: the default port of http)."""

    namespace: str
    name: str
    owners: tuple[IsvcOwner, ...]
    port: int


@dataclass(frozen=True, slots=True)
class ServiceAccountFacts:
    """A ServiceAccount: which isvcs own it."""

    namespace: str
    name: str
    owners: tuple[IsvcOwner, ...]


def subject(namespace: str, name: str) -> str:
    """Return an isvc's name as problems bear it."""
    return f"InferenceService {namespace}/{name}"


def read_isvc(obj: Mapping[str, Any]) -> Isvc:
    """Return the facts of an InferenceService (serving.kserve.io/v1beta1); what is unusable is among its problems."""
    metadata, status = values.mapping(obj.get("metadata")), values.mapping(obj.get("status"))
    namespace, name = _names(metadata)
    labels = values.mapping(metadata.get("labels"))
    annotations = values.mapping(metadata.get("annotations"))
    predictor = read_predictor(obj.get("spec"))
    problems: list[Problem] = []
    url = _url(status, subject(namespace, name), problems)
    return Isvc(
        namespace=namespace,
        name=name,
        uid=values.line(metadata.get("uid")),
        created=values.timestamp(metadata.get("creationTimestamp")),
        said=tuple(sorted(said_in_annotations(annotations).items())),
        tags=_tags(labels, predictor),
        registry=read_registry_labels(labels),
        artifact=_artifact(predictor, subject(namespace, name), problems),
        url=url,
        asks_authentication=values.line(annotations.get(AUTH_ANNOTATION)).lower() == "true",
        readiness=read_readiness(metadata=metadata, status=status, url=url),
        problems=tuple(problems),
    )


def read_service(obj: Mapping[str, Any]) -> ServiceFacts:
    """Return the facts of a Service (v1)."""
    metadata = values.mapping(obj.get("metadata"))
    namespace, name = _names(metadata)
    ports = values.items(values.at(obj, "spec", "ports"))
    return ServiceFacts(namespace, name, _owners(metadata), _port(ports[0]) if ports else 0)


def read_service_account(obj: Mapping[str, Any]) -> ServiceAccountFacts:
    """Return the facts of a ServiceAccount (v1)."""
    metadata = values.mapping(obj.get("metadata"))
    namespace, name = _names(metadata)
    return ServiceAccountFacts(namespace, name, _owners(metadata))


def owns(isvc: Isvc, owners: tuple[IsvcOwner, ...]) -> bool:
    """Tell whether `isvc` is among the owners; one of its name with another uid was an earlier isvc."""
    return any(o.name == isvc.name and (o.uid == isvc.uid or not o.uid or not isvc.uid) for o in owners)


def _names(metadata: Mapping[str, Any]) -> tuple[str, str]:
    namespace = values.line(metadata.get("namespace")) or _DEFAULT_NAMESPACE
    return sys.intern(namespace), values.line(metadata.get("name")) or _UNNAMED


def _owners(metadata: Mapping[str, Any]) -> tuple[IsvcOwner, ...]:
    return tuple(
        IsvcOwner(values.line(values.at(owner, "name")), values.line(values.at(owner, "uid")))
        for owner in values.items(metadata.get("ownerReferences"))
        if values.at(owner, "kind") == _OWNER_KIND
    )


def _port(port: object) -> int:
    """Return the target port when it is a number, else the port; 0 where http needs none."""
    number = _port_number(values.at(port, "targetPort")) or _port_number(values.at(port, "port"))
    return 0 if number == _HTTP_PORT else number


def _port_number(value: object) -> int:
    number = values.millis(value)
    return number if number <= _LAST_PORT else 0


def _tags(labels: Mapping[str, Any], predictor: Predictor) -> tuple[str, ...]:
    of_labels = (label_tag(str(key), values.line(value)) for key, value in labels.items())
    tags = tag_set((*of_labels, backstage.tag(predictor.model_format), backstage.tag(predictor.runtime)))
    return tuple(map(sys.intern, tags))


def _artifact(predictor: Predictor, subject: str, problems: list[Problem]) -> str:
    link = as_link(predictor.storage)
    if predictor.storage and link is None:
        problems.append(
            Problem(
                "warning",
                subject,
                f"the storage location {values.shown(predictor.storage)} is no absolute URL and is left out",
                "write it with a scheme, such as oci://, s3:// or pvc://",
            )
        )
    return link or ""


def _url(status: Mapping[str, Any], subject: str, problems: list[Problem]) -> str:
    written = values.line(status.get("url")) or values.line(values.at(status, "address", "url"))
    link = as_link(written)
    if written and link is None:
        problems.append(
            Problem(
                "warning",
                subject,
                f"its status.url {values.shown(written)} is no absolute URL: it is shown without a server",
                "KServe writes this field; look for the cause in the log of KServe's controller",
            )
        )
    return link or ""
