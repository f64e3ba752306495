"""What both mappings end with: how a deployment is reached as a model server, and the document built from it all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from common.annotations import CLUSTER_ANNOTATION, EXTERNAL_URL_ANNOTATION, INTERNAL_URL_ANNOTATION, NAME_ANNOTATION
from common.catalog import Api, ApiType, CatalogDocument, Model, ModelServer
from common.details import Details
from services.normalizer.normalize.addresses import is_grpc, port_of, resolve, speaks_tls
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.containers import unique_names
from services.normalizer.normalize.deployment import Deployment, ServiceAccountFacts, ServiceFacts, owns
from services.normalizer.normalize.profile import TITLE, Profile
from services.normalizer.normalize.result import ClusterView, Normalized
from services.normalizer.normalize.runtimes import Runtime, detect_server_type, names_by_runtime

# The fields about the server itself, which count also where a registry describes the model.
_SERVER_FIELDS = ("apientityref", "apispec", "apitype", "default", "servertype", "system", TITLE)
# Accounts that the dashboard does not create: an autoscaler's, and that of an LLM's endpoint picker.
_ACCOUNTS_OF_OTHERS = ("inference-prometheus-auth",)
_ACCOUNT_ENDINGS_OF_OTHERS = ("-epp-sa",)
_NO_SPEC = "TBD"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """A server with an address; `name` is its deployment's, `called` the name that clients use for the model.

    `annotations` are those of its API, `fields` what people say about the server on the deployment, by the field of a
    profile. `details` are those of the deployment.
    """

    name: str
    url: str
    called: str
    api_type: ApiType
    authentication: bool
    annotations: Mapping[str, str]
    fields: Mapping[str, str]
    details: Details


def server_facts(
    deployment: Deployment,
    *,
    services: Sequence[ServiceFacts],
    service_accounts: Sequence[ServiceAccountFacts],
    runtime: Runtime | None = None,
    connection: Connection | None = None,
) -> ServerFacts | None:
    """Return how a deployment is reached, or None when it has no address.

    `services` and `service_accounts` may be all of its namespace: only those that the deployment owns count.
    """
    addresses = resolve(deployment, services)
    url = addresses.external or addresses.internal
    if not url:
        return None
    annotations = {
        INTERNAL_URL_ANNOTATION: addresses.internal,
        EXTERNAL_URL_ANNOTATION: addresses.external if addresses.internal else "",
    }
    names = request_names(deployment, runtime)
    return ServerFacts(
        name=deployment.name,
        url=url,
        called=names[0],
        api_type="grpc" if is_grpc(url, deployment, services, runtime) else "openapi",
        authentication=_asks_for_a_token(deployment, url, services, service_accounts),
        annotations={key: address for key, address in annotations.items() if address},
        fields={field: text for field, text in deployment.stated.fields if field in _SERVER_FIELDS},
        details=deployment_details(deployment, runtime=runtime, connection=connection),
    )


def request_names(deployment: Deployment, runtime: Runtime | None = None) -> tuple[str, ...]:
    """Return the names that clients may use for the model, the usual one first; there is always one."""
    return deployment.names or unique_names(names_by_runtime(runtime)) or (deployment.name,)


def deployment_details(
    deployment: Deployment, *, runtime: Runtime | None = None, connection: Connection | None = None
) -> Details:
    """Return the details of a deployment, without what people say about it and where its files are."""
    storage = deployment.storage
    its_own = connection is not None and connection.name == storage.connection
    return Details(
        names=request_names(deployment, runtime),
        server_type=detect_server_type(deployment.served, runtime),
        operations=deployment.operations,
        definition=deployment.definition,
        tasks=deployment.served.tasks,
        kind=deployment.kind,
        namespace=deployment.namespace,
        deployment=deployment.name,
        connection=storage.connection,
        connection_type=connection.type if connection and its_own else "",
        connection_title=connection.title if connection and its_own else "",
    )


def _asks_for_a_token(
    deployment: Deployment,
    url: str,
    services: Sequence[ServiceFacts],
    service_accounts: Sequence[ServiceAccountFacts],
) -> bool:
    """Return whether a request needs a token.

    A transformer takes requests before the predictor's proxy does, and has no proxy itself. A platform that secures its
    LLMInferenceServices also gives their Services TLS, which upstream KServe does not.
    """
    if deployment.has_transformer:
        return False
    if deployment.stated.asks_authentication is not None:
        return deployment.stated.asks_authentication
    if deployment.kind == "LLMInferenceService":
        port = port_of(url, deployment, services)
        return deployment.secured if deployment.secured is not None else bool(port and speaks_tls(port))
    return any(
        account.namespace == deployment.namespace and _secures(account.name) and owns(deployment, account.owners)
        for account in service_accounts
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
