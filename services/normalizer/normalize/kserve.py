"""Makes the document of a deployment; the rules are in docs/mapping.md, "InferenceServices"."""

from collections.abc import Sequence
from dataclasses import replace

from common import backstage
from common.annotations import CARD_ANNOTATION
from services.normalizer.facts import Ref
from services.normalizer.normalize.cards import CardRef, card_url
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.deployment import Deployment, ServiceAccountFacts, ServiceFacts
from services.normalizer.normalize.document import build_document, deployment_details, request_names, server_facts
from services.normalizer.normalize.links import deployment_link
from services.normalizer.normalize.profile import ANNOTATION_PREFIX, read_profile
from services.normalizer.normalize.result import Defaults, Normalized, Notes, kubernetes_segment
from services.normalizer.normalize.runtimes import Runtime
from services.normalizer.normalize.storage import locate

_NO_NAMESPACE = "openai"
"""The first part of the key of a server without a namespace, which settings name."""


def normalize_deployment(
    deployment: Deployment,
    *,
    cluster: str,
    source: str,
    services: Sequence[ServiceFacts],
    service_accounts: Sequence[ServiceAccountFacts],
    defaults: Defaults,
    serve: bool = True,
    runtime: Runtime | None = None,
    connection: Connection | None = None,
    card: CardRef | None = None,
) -> Normalized:
    """Return the document of a deployment that no registry describes; with `serve` false, without a server.

    The caller decides whether the deployment is ready to be shown. `connection` is that of its files, if it is known.
    """
    location = locate(deployment.storage, subject=deployment.subject, connection=connection)
    notes = Notes(deployment.subject, place=_annotation, found=(*deployment.problems, *location.problems))
    fields = dict(deployment.stated.fields)
    if card:
        fields.pop("techdocs", None)
    profile = read_profile(fields, defaults=defaults, notes=notes)
    if card:
        profile = replace(profile, annotations={**profile.annotations, CARD_ANNOTATION: card_url(card.key)})
    server = None
    if serve:
        server = server_facts(
            deployment, services=services, service_accounts=service_accounts, runtime=runtime, connection=connection
        )
    details = server.details if server else deployment_details(deployment, runtime=runtime, connection=connection)
    links = deployment_link(defaults.dashboard_url, deployment.namespace)
    own_name = "-".join(filter(None, (deployment.namespace, deployment.name)))
    name = backstage.entity_name(own_name)
    return Normalized(
        ref=str(Ref.deployment(deployment.kind, cluster, deployment.namespace, deployment.name)),
        source=source,
        segments=(kubernetes_segment(deployment.namespace or _NO_NAMESPACE), kubernetes_segment(deployment.name)),
        document=build_document(
            profile,
            name=name,
            called=request_names(deployment, runtime)[0],
            description=profile.description or f"KServe model {deployment.name} in {deployment.namespace}",
            tags=deployment.stated.tags(defaults.tags_ignored),
            artifact=location.url,
            server=server,
            server_name=name,
        ),
        reconciler="kserve",
        created=deployment.created,
        own_names=(own_name, own_name),
        card_key=card.key if card else "",
        details=profile.details.over(details, names=details.names, location=location.words, links=links),
        problems=notes.problems,
    )


def _annotation(field: str) -> str:
    return f"the annotation {ANNOTATION_PREFIX}{field}"
