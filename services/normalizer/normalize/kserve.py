"""From an InferenceService to its document; the rules are in docs/mapping.md, "InferenceServices"."""

from collections.abc import Sequence

from common import backstage
from services.normalizer.normalize.document import build_document
from services.normalizer.normalize.isvc import (
    Isvc,
    ServiceAccountFacts,
    ServiceFacts,
    read_isvc,
    read_service,
    read_service_account,
    subject,
)
from services.normalizer.normalize.notes import Notes
from services.normalizer.normalize.profile import ANNOTATION_PREFIX, read_profile
from services.normalizer.normalize.readiness import Readiness
from services.normalizer.normalize.result import Defaults, Normalized, isvc_ref
from services.normalizer.normalize.segments import kubernetes_segment
from services.normalizer.normalize.server import ServerFacts, server_facts

__all__ = [
    "Isvc",
    "Readiness",
    "ServerFacts",
    "ServiceAccountFacts",
    "ServiceFacts",
    "normalize_isvc",
    "read_isvc",
    "read_service",
    "read_service_account",
    "readiness",
    "server_facts",
]


def readiness(isvc: Isvc) -> Readiness:
    """Return whether the isvc serves and, when it does not, why."""
    return isvc.readiness


def normalize_isvc(
    isvc: Isvc,
    *,
    cluster: str,
    source: str,
    services: Sequence[ServiceFacts],
    service_accounts: Sequence[ServiceAccountFacts],
    defaults: Defaults,
    serve: bool = True,
) -> Normalized:
    """Return the document of an isvc that no registry describes; with `serve` false the model without its server.

    Whether it is ready does not matter here: that is for the caller to judge.
    """
    notes = Notes(subject(isvc.namespace, isvc.name), place=_annotation, found=isvc.problems)
    profile = read_profile(dict(isvc.said), defaults=defaults, notes=notes)
    server = server_facts(isvc, services=services, service_accounts=service_accounts) if serve else None
    name = backstage.entity_name(f"{isvc.namespace}-{isvc.name}")
    return Normalized(
        ref=isvc_ref(cluster, isvc.namespace, isvc.name),
        source=source,
        segments=(kubernetes_segment(isvc.namespace), kubernetes_segment(isvc.name)),
        document=build_document(
            profile,
            name=name,
            called=isvc.name,
            description=profile.description or f"KServe model {isvc.name} in {isvc.namespace}",
            tags=isvc.tags,
            artifact=isvc.artifact,
            server=server,
            server_name=name,
        ),
        reconciler="kserve",
        created=isvc.created,
        details=profile.details,
        problems=notes.problems,
    )


def _annotation(field: str) -> str:
    return f"the annotation {ANNOTATION_PREFIX}{field}"
