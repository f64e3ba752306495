"""Makes the documents of deployments, and the parts that the documents of registered versions share with them.

The rules are in docs/mapping.md, "InferenceServices"."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from common import backstage
from common.annotations import (
    CLUSTER_ANNOTATION,
    EXTERNAL_URL_ANNOTATION,
    INTERNAL_URL_ANNOTATION,
    NAME_ANNOTATION,
)
from common.backstage import ApiType
from common.catalog import Api, CatalogDocument, Model, ModelServer
from common.details import Details
from services.normalizer.facts import Ref
from services.normalizer.normalize.addresses import is_grpc, port_of, resolve, speaks_tls
from services.normalizer.normalize.containers import unique_names
from services.normalizer.normalize.deployment import NOTHING, Belongings, Deployment, owns
from services.normalizer.normalize.links import deployment_link
from services.normalizer.normalize.profile import TITLE, Profile, read_profile
from services.normalizer.normalize.result import ClusterView, Defaults, Normalized, Notes, kubernetes_segment
from services.normalizer.normalize.runtimes import Runtime, detect_server_type, names_by_runtime
from services.normalizer.normalize.stated import StatedField
from services.normalizer.normalize.storage import locate

# The fields about the server itself, which count also where a registry describes the model.
_SERVER_FIELDS = ("apientityref", "apispec", "apitype", "default", "servertype", "system", TITLE)
# Accounts that the dashboard does not create: an autoscaler's, and that of an LLM's endpoint picker.
_ACCOUNTS_OF_OTHERS = ("inference-prometheus-auth",)
_ACCOUNT_ENDINGS_OF_OTHERS = ("-epp-sa",)
_NO_SPEC = "TBD"
_NO_NAMESPACE = "openai"
"""The first part of the key of a server without a namespace, which settings name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """A server with an address; `name` is its deployment's, `called` the name that clients use for the model.

    `annotations` are those of its API, `fields` what people say about the server on the deployment, by name. `details`
    are those of the deployment.
    """

    name: str
    url: str
    called: str
    api_type: ApiType
    authentication: bool
    annotations: Mapping[str, str]
    fields: Mapping[str, StatedField]
    details: Details


def server_facts(deployment: Deployment, own: Belongings = NOTHING) -> ServerFacts | None:
    """Return how a deployment is reached, or None when it has no address."""
    addresses = resolve(deployment, own.services)
    url = addresses.external or addresses.internal
    if not url:
        return None
    annotations = {
        INTERNAL_URL_ANNOTATION: addresses.internal,
        EXTERNAL_URL_ANNOTATION: addresses.external if addresses.internal else "",
    }
    return ServerFacts(
        name=deployment.name,
        url=url,
        called=_request_names(deployment, own.runtime)[0],
        api_type="grpc" if is_grpc(url, deployment, own.services, own.runtime) else "openapi",
        authentication=_asks_for_a_token(deployment, url, own),
        annotations={key: address for key, address in annotations.items() if address},
        fields={
            field.name: field._replace(place=f"{field.place} of {deployment.subject}")
            for field in deployment.stated.fields
            if field.name in _SERVER_FIELDS
        },
        details=_deployment_details(deployment, own),
    )


def _request_names(deployment: Deployment, runtime: Runtime | None = None) -> tuple[str, ...]:
    """Return the names that clients may use for the model, the usual one first; there is always one."""
    return deployment.names or unique_names(names_by_runtime(runtime)) or (deployment.name,)


def _deployment_details(deployment: Deployment, own: Belongings) -> Details:
    """Return the details of a deployment, without what people say about it and where its files are."""
    name = deployment.storage.connection
    connection = own.connection if own.connection is not None and own.connection.name == name else None
    return Details(
        names=_request_names(deployment, own.runtime),
        server_type=detect_server_type(deployment.served, own.runtime),
        operations=deployment.operations,
        definition=deployment.definition,
        tasks=deployment.served.tasks,
        kind=deployment.kind,
        namespace=deployment.namespace,
        deployment=deployment.name,
        connection=name,
        connection_type=connection.type if connection else "",
        connection_title=connection.title if connection else "",
    )


def _asks_for_a_token(deployment: Deployment, url: str, own: Belongings) -> bool:
    """Return whether a request needs a token.

    A transformer takes requests before the predictor's proxy does, and has no proxy itself. A platform that secures its
    LLMInferenceServices also gives their Services TLS, which upstream KServe does not.
    """
    if deployment.has_transformer:
        return False
    if deployment.stated.asks_authentication is not None:
        return deployment.stated.asks_authentication
    if deployment.kind == "LLMInferenceService":
        port = port_of(url, deployment, own.services)
        return deployment.secured if deployment.secured is not None else bool(port and speaks_tls(port))
    return any(
        account.namespace == deployment.namespace and _secures(account.name) and owns(deployment, account.owners)
        for account in own.service_accounts
    )


def _secures(account: str) -> bool:
    """Return whether an account with this name, owned by a deployment, means that requests need a token."""
    return account not in _ACCOUNTS_OF_OTHERS and not account.endswith(_ACCOUNT_ENDINGS_OF_OTHERS)


def build_document(
    profile: Profile,
    *,
    name: str,
    called: str,
    description: str,
    tags: tuple[str, ...],
    artifact: str,
    server: ServerFacts | None,
    server_name: str,
) -> CatalogDocument:
    """Return the document of one model version; it has a server when `server` is given.

    `name` and `server_name` are valid entity names, `called` is the name that clients use for the model in requests.
    """
    model = Model(
        name=name,
        owner=profile.owner.name,
        lifecycle=profile.lifecycle,
        description=description,
        artifact_location_url=artifact or None,
        ethics=profile.ethics or None,
        how_to_use_url=profile.how_to_use_url,
        license=profile.license,
        support=profile.support or None,
        tags=tags,
        training=profile.training or None,
        usage=profile.usage or None,
        annotations={NAME_ANNOTATION: called, **profile.annotations},
    )
    if server is None:
        return CatalogDocument(models=(model,))
    return CatalogDocument(
        models=(model,),
        model_server=ModelServer(
            name=server_name,
            owner=profile.owner.name,
            lifecycle=profile.lifecycle,
            description=description,
            api=_api(profile, tags=tags, server=server),
            authentication=server.authentication,
            homepage_url=profile.homepage_url,
            tags=tags,
            usage=profile.usage or None,
            annotations=dict(profile.server_annotations),
        ),
    )


def with_cluster(view: ClusterView, normalized: Normalized) -> Normalized:
    """Return a document with the defaults of its cluster, and with the cluster's name where there are several."""
    details = normalized.details
    if view.defaults.system and not details.system:
        details = replace(details, system=view.defaults.system)
    if not view.name:
        return normalized if details is normalized.details else replace(normalized, details=details)
    return replace(
        normalized,
        document=normalized.document.marked({CLUSTER_ANNOTATION: view.name}, f"cluster-{view.name}"),
        details=replace(details, cluster=view.name),
    )


def _api(profile: Profile, *, tags: tuple[str, ...], server: ServerFacts) -> Api:
    return Api(
        url=server.url,
        type=profile.api_type or server.api_type,
        spec=profile.api_spec or _NO_SPEC,
        tags=tags,
        annotations=dict(server.annotations),
    )


def normalize_deployment(
    deployment: Deployment,
    *,
    cluster: str,
    source: str,
    own: Belongings = NOTHING,
    defaults: Defaults,
    card: str = "",
) -> Normalized:
    """Return the document of a deployment that no registry describes; one that is only planned has no server.

    `card` is the key of its card, empty without one. The caller decides whether the deployment is ready to be shown.
    """
    stated = deployment.stated
    notes = Notes(deployment.subject, place=stated.place, key=stated.key, found=deployment.problems)
    location = locate(deployment.storage, notes, own.connection)
    profile = read_profile(deployment.stated.texts, card=card, defaults=defaults, notes=notes)
    server = None if deployment.planned else server_facts(deployment, own)
    details = server.details if server else _deployment_details(deployment, own)
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
            called=details.names[0],
            description=profile.description or f"KServe model {deployment.name} in {deployment.namespace}",
            tags=deployment.stated.tags(defaults.tags_ignored),
            artifact=location.url,
            server=server,
            server_name=name,
        ),
        reconciler="kserve",
        created=deployment.created,
        own_names=(own_name, own_name),
        card_key=card,
        details=profile.details.over(details, names=details.names, location=location.words, links=links),
        problems=notes.problems,
    )
