"""Ways to break the world around a connector, and what the doctor must say about each."""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.connector.broken import ACCOUNT, TOKEN, World, expired
from tests.deploy.rbac import Permission
from tests.fakes.kubernetes import FakeCluster
from tests.fakes.kubernetes.certificates import Certificates
from tests.fakes.kubernetes.resources import INFERENCE_SERVICES, LLM_INFERENCE_SERVICES, ResourceType
from tests.objects import isvc, llm_isvc, route, service


class Case(NamedTuple):
    """A way to break the world; the verdict, step, and words of message and remedy that must be found."""

    name: str
    spoil: Callable[[World], Awaitable[None] | None]
    verdict: str
    step: str
    message: str
    remedy: str


CASES: list[Case] = []


def broken(step: str, message: str, remedy: str, *, verdict: str = "fault") -> Callable[..., None]:
    """Take the decorated function as a case."""

    def take(spoil: Callable[[World], Awaitable[None] | None]) -> None:
        CASES.append(Case(spoil.__name__.replace("_", "-"), spoil, verdict, step, message, remedy))

    return take


@broken("credentials", "no credentials for a cluster", "with envFrom; elsewhere, log in")
def no_credentials(world: World) -> None:
    del world.environ["token"]


@broken("credentials", "KUBERNETES_SERVICE_HOST, the address of the API server, is not set", "to use the kubeconfig")
def a_token_without_a_server(world: World) -> None:
    del world.environ["KUBERNETES_SERVICE_HOST"]


@broken("credentials", "the environment variable ca.crt", "give the whole certificate")
def an_authority_that_was_shortened(world: World) -> None:
    world.environ["ca.crt"] = world.environ["ca.crt"][:200]


@broken("credentials", "certificate", "is not the one of this API server")
def an_authority_of_another_cluster(world: World) -> None:
    world.environ["ca.crt"] = Certificates.create().ca


@broken("credentials", "the request to the API server failed", "check that the API server runs")
async def an_api_server_that_is_down(world: World) -> None:
    await world.cluster.go_down()


@broken("credentials", "no answer in time", "no network policy or firewall blocks the way to it")
def an_api_server_that_is_cut_off(world: World) -> None:
    world.cluster.fault("hang", times=None)
    world.timeout = 1.0


@broken("credentials", "the token is not accepted", "created again")
def a_token_that_was_revoked(world: World) -> None:
    world.cluster.revoke(TOKEN)


@broken("credentials", "the token has expired", "restart the pod")
def a_token_that_has_expired(world: World) -> None:
    world.environ["token"] = expired()


@broken(
    "credentials", "the request to the API server failed", "(HTTPS_PROXY): the connector connects to the API server dir"
)
async def a_proxy_that_would_be_needed(world: World) -> None:
    world.environ["HTTPS_PROXY"] = "http://proxy.example.com:3128"
    await world.cluster.go_down()


@broken("credentials", "the namespace of the cache is not known", "POD_NAMESPACE")
def no_namespace(world: World) -> None:
    del world.environ["POD_NAMESPACE"]


@broken("credentials", f"the connector usually runs as {ACCOUNT}", "kubectl auth can-i", verdict="warning")
def another_account(world: World) -> None:
    world.allow(world.rights, "system:serviceaccount:ai-rhdh:default")


@broken("credentials", "seconds ahead of that of the API server", "with NTP", verdict="warning")
def a_clock_that_is_wrong(world: World) -> None:
    world.clock = lambda: time.time() + 600


@broken("kinds", "KServe is not installed", "DataScienceCluster")
def a_cluster_without_kserve(world: World) -> None:
    world.cluster.uninstall("inferenceservices")


@broken("kinds", "but not with InferenceServices of serving.kserve.io/v1beta1; its versions are: v2", "kubectl get crd")
def a_kserve_of_another_version(world: World) -> None:
    world.cluster.uninstall("inferenceservices")
    kind, plural = INFERENCE_SERVICES.kind, INFERENCE_SERVICES.plural
    world.cluster.install(
        ResourceType(group="serving.kserve.io", versions=("v2",), plural=plural, kind=kind, custom=True)
    )


@broken("rights", "may not create, patch configmaps in namespace ai-rhdh", 'verbs: ["get", "list", "watch", "create"')
def no_right_to_write_config_maps(world: World) -> None:
    world.without("configmaps", "create", "patch")


@broken("rights", "may not patch configmaps", "the Role rhdh-rhoai-connector in namespace ai-rhdh")
def a_right_to_create_and_not_to_patch(world: World) -> None:
    world.without("configmaps", "patch")


@broken("rights", "may not get, list, watch inferenceservices", 'apiGroups: ["serving.kserve.io"]')
def no_right_to_see_models(world: World) -> None:
    world.without("inferenceservices")


@broken("rights", "may not watch inferenceservices", "add this rule to the ClusterRole")
def no_right_to_watch(world: World) -> None:
    world.without("inferenceservices", "watch")


@broken("rights", "may not get, list, watch services in all namespaces", 'resources: ["services"]')
def no_right_to_see_services(world: World) -> None:
    world.without("services")


@broken("rights", "to find model registries", 'apiGroups: ["route.openshift.io"]')
def no_right_to_see_routes(world: World) -> None:
    world.without("routes")


@broken("rights", "to show LLMInferenceServices", "components/llm-inference-services", verdict="warning")
def llm_inference_services_that_may_not_be_read(world: World) -> None:
    world.cluster.install(LLM_INFERENCE_SERVICES)


@broken("rights", "may not get secrets in all namespaces", "components/connections", verdict="warning")
def connections_without_their_rights(world: World) -> None:
    world.environ["RESOLVE_CONNECTIONS"] = "true"


@broken("rights", "may not list pods in all namespaces", "components/pods", verdict="warning")
def pods_of_connections_without_their_rights(world: World) -> None:
    world.environ["RESOLVE_CONNECTIONS"] = "pods"


@broken("rights", "may not get, list, watch httproutes", 'apiGroups: ["gateway.networking', verdict="warning")
def gateways_without_their_rights(world: World) -> None:
    world.environ["MODEL_REGISTRY_GATEWAYS"] = "true"


@broken("rights", "no ClusterRoleBinding gives it a role", "its subjects must contain the account")
def a_binding_to_an_account_elsewhere(world: World) -> None:
    world.allow({p for p in world.rights if p.resource == "configmaps"})


@broken(
    "rights", "inferenceservices.serving.kserve.io in namespace models", "the Role rhdh-rhoai-connector in namespace"
)
def watched_namespaces_without_rights_there(world: World) -> None:
    world.environ["WATCH_NAMESPACES"] = "models,demo"
    world.allow({p if p.namespace else p._replace(namespace="demo") for p in world.rights})


@broken("models", "there is no InferenceService in any namespace", "deploy a model", verdict="warning")
def nothing_deployed(world: World) -> None:
    world.cluster.delete("InferenceService", "models", "iris")


@broken(
    "models", "models/wine is not shown: its condition", "kubectl describe inferenceservice wine", verdict="warning"
)
def a_model_that_is_not_ready(world: World) -> None:
    world.cluster.apply(isvc("wine", ready=False))


@broken("models", "models/wine is not shown: it is stopped", "serving.kserve.io/stop-", verdict="warning")
def a_model_that_was_stopped(world: World) -> None:
    world.cluster.apply(isvc("wine", annotations={"serving.kserve.io/stop": "true"}))


@broken(
    "models", "in namespace modells, or the namespace does not exist", "misspelt in WATCH_NAMESPACES", verdict="warning"
)
def a_watched_namespace_that_is_misspelt(world: World) -> None:
    world.environ["WATCH_NAMESPACES"] = "modells"


@broken("models", "models/wine is not shown: it is marked with", "rhdh.modelcatalog.io/ignore-", verdict="warning")
def a_model_that_is_marked_to_be_left_out(world: World) -> None:
    world.cluster.apply(isvc("wine", annotations={"rhdh.modelcatalog.io/ignore": "true"}))


@broken("models", "models/iris is not shown: its label team does not match SELECTOR", "that setting", verdict="warning")
def a_model_that_the_settings_leave_out(world: World) -> None:
    world.environ["SELECTOR"] = "team=fraud"


@broken(
    "models", "models/chat is not shown: it has no status yet", "describe llminferenceservice chat", verdict="warning"
)
def an_llm_that_is_not_ready(world: World) -> None:
    world.cluster.install(LLM_INFERENCE_SERVICES)
    verbs = ("get", "list", "watch")
    world.allow(world.rights | {Permission("", "serving.kserve.io", "llminferenceservices", verb) for verb in verbs})
    world.cluster.apply(llm_isvc("chat") | {"status": {}})


@broken(
    "hidden",
    "hidden (refused): InferenceService models/wine: storage does not take",
    "make it shorter",
    verdict="warning",
)
def a_document_that_storage_refuses(world: World) -> None:
    world.pod.hidden = [
        {
            "object": "InferenceService models/wine",
            "cause": "refused",
            "reason": "storage does not take its document: too large",
            "remedy": "make it shorter",
        }
    ]


@broken("registries", "MR_ROUTE team: there is no such Route", "namespace:name of an existing Route")
def a_wrong_mr_route(world: World) -> None:
    world.environ["MR_ROUTE"] = "team"


@broken("registries", "squatter/registry", "MODEL_REGISTRY_NAMESPACES", verdict="warning")
def a_registry_where_anybody_may_make_one(world: World) -> None:
    labels = {"component": "model-registry"}
    world.cluster.apply(service("registry", "squatter", ports={"http-api": 8080}, labels=labels))


@broken("registries", "401", "delete the Secret")
def a_registry_that_does_not_know_the_token(world: World) -> None:
    world.registry.tokens = {"another"}


@broken("registries", "403", "create a RoleBinding")
def a_registry_that_forbids(world: World) -> None:
    world.registry.forbidden.add(TOKEN)


@broken("registries", "model registry 127.0.0.1", "check that model registry")
async def a_registry_that_is_down(world: World) -> None:
    await world.registry.down()


@broken("registries", "503", "and its database: something that it needs")
def a_registry_without_its_database(world: World) -> None:
    world.registry.fail("status", status=503)


@broken("registries", "certificate", "MODEL_REGISTRY_CA_FILE")
async def a_registry_of_an_unknown_authority(world: World) -> None:
    strange = FakeCluster(tls=True)
    await world.enter(strange)
    world.environ["MODEL_REGISTRY_URLS"] = strange.url


@broken("registries", "404", "no model registry API below")
def a_registry_behind_another_path(world: World) -> None:
    world.environ["MODEL_REGISTRY_URLS"] = f"{world.registry.url}/registry"


@broken("registries", "(MLFLOW_URLS), without credentials: ", "there is no API of MLflow team below")
def an_mlflow_that_is_something_else(world: World) -> None:
    world.environ["MLFLOW_URLS"] = f"team={world.registry.url}"


@broken("registries", "(OPENAI_SERVERS), without credentials: ", "no API of OpenAI-compatible server gateway below")
def a_gateway_that_is_something_else(world: World) -> None:
    world.environ["OPENAI_SERVERS"] = f"gateway={world.registry.url}"


@broken("registries", "registry.invalid", "is unknown here: check MODEL_REGISTRY_URLS")
def a_registry_whose_name_no_one_knows(world: World) -> None:
    world.environ["MODEL_REGISTRY_URLS"] = "http://registry.invalid"


@broken("registries", "has no address", "a Route needs a router that admits it")
def a_route_that_no_router_admits(world: World) -> None:
    world.cluster.apply(route("public", admitted=False))


@broken("registries", "cannot be verified: MODEL_REGISTRY_CA_FILE", "PEM format into the container")
def a_file_of_authorities_that_is_not_there(world: World) -> None:
    world.environ["MODEL_REGISTRY_CA_FILE"] = str(world.directory / "missing.pem")


@broken(
    "registries",
    "no model registry was found",
    "to name one by its address, set MODEL_REGISTRY_URLS",
    verdict="warning",
)
def no_registry(world: World) -> None:
    del world.environ["MODEL_REGISTRY_URLS"]


@broken(
    "cache",
    "1 value of ConfigMap bac-import-model cannot be read: models_wine",
    '-p \'{"binaryData":{"models_wine":null}}\'',
)
def a_cache_that_is_unreadable(world: World) -> None:
    world.put_cache({"models_iris": world.entry(), "models_wine": "Z2FyYmFnZQ=="})


@broken(
    "cache",
    "models_iris is about to be removed; it has been marked for removal since 2026-01-01 10:00",
    "connector removals refuse models_iris",
    verdict="warning",
)
def a_model_that_its_source_lacks(world: World) -> None:
    leaving = {"since": "2026-01-01T10:00:00Z", "reason": "not-listed"}
    world.put_cache({"models_iris": world.entry(leaving=leaving)})


@broken("cache", "is immutable", "kubectl delete configmap bac-import-model")
def a_cache_that_was_frozen(world: World) -> None:
    world.put_cache({"models_iris": world.entry()}, immutable=True)


@broken("cache", "never been marked as complete", "which source has not been listed", verdict="warning")
def a_cache_that_was_never_complete(world: World) -> None:
    world.put_cache({"models_iris": world.entry()}, complete=False)


@broken("cache", "the cache cannot be written: ", "a quota or an admission policy refuses")
def a_policy_that_refuses_writes(world: World) -> None:
    world.cluster.fault("status", status=403, times=None, path="dryRun")


@broken("cache", "the cache cannot be read", "Rights")
def no_right_to_read_the_cache(world: World) -> None:
    world.without("configmaps")


@broken("feed", "location does not answer", "kubectl logs")
def a_location_that_does_not_run(world: World) -> None:
    world.pod.absent.add("location")


@broken("feed", "rhoai-normalizer is not ready, because of registry:team: forbidden", "create a RoleBinding")
def a_source_that_cannot_be_read(world: World) -> None:
    condition = {"name": "registry:team", "ok": False, "reason": "forbidden; create a RoleBinding", "since": 0}
    world.pod.ready["rhoai-normalizer"] = {"status": "not ready", "conditions": [condition]}


@broken(
    "feed", "the feed answers 503, so Backstage keeps what it has", "the lines above say what the connector waits for"
)
def a_feed_that_is_not_complete(world: World) -> None:
    world.pod.metrics = world.pod.metrics.replace("complete 1.0", "complete 0.0")


@broken("feed", "serves 0 models", "say why no model is shown", verdict="warning")
def a_feed_that_is_empty(world: World) -> None:
    world.pod.metrics = world.pod.metrics.replace("documents 1.0", "documents 0.0")


@broken(
    "backstage",
    "first generation (Developer Hub 1.8, 1.9) has read the feed 12 times, most recently 120",
    "kubectl",
    verdict="warning",
)
def a_backstage_that_has_ceased_to_ask(world: World) -> None:
    world.pod.asked_before = 7200.0


@broken("backstage", "no one has read the feed", "app-config", verdict="warning")
def a_backstage_that_does_not_ask(world: World) -> None:
    world.pod.metrics = "rhoai_connector_location_documents 1.0\nrhoai_connector_location_complete 1.0\n"


@broken("settings", "WATCH_NAMESPACE is not known: did you mean WATCH_NAMESPACES?", "rename", verdict="warning")
def a_variable_that_is_misspelt(world: World) -> None:
    world.environ["WATCH_NAMESPACE"] = "models"


@broken("settings", "POLLING_INTERVAL: expected a duration such as 90s", "correct or remove POLLING_INTERVAL")
def a_duration_without_its_unit(world: World) -> None:
    world.environ["POLLING_INTERVAL"] = "120"


@broken("settings", "MODEL_REGISTRY_URLS", "correct or remove MODEL_REGISTRY_URLS")
def an_address_that_is_none(world: World) -> None:
    world.environ["MODEL_REGISTRY_URLS"] = "registry.example.com"


@broken("settings", "the cache is lost when the process ends", "STORAGE_TYPE=ConfigMap", verdict="warning")
def a_cache_in_memory(world: World) -> None:
    world.environ["STORAGE_TYPE"] = "Memory"


@broken("settings", "REMOVAL_GUARD=off", "remove REMOVAL_GUARD", verdict="warning")
def no_guard_against_removals(world: World) -> None:
    world.environ["REMOVAL_GUARD"] = "off"


@broken("settings", "REMOVAL_HOLD=0", "remove REMOVAL_HOLD", verdict="warning")
def no_time_before_removals(world: World) -> None:
    world.environ["REMOVAL_HOLD"] = "0"


@broken("settings", "every host that reaches the pod may read", "remove OPEN_READS", verdict="warning")
def reads_that_are_open(world: World) -> None:
    world.environ["OPEN_READS"] = "true"


@broken("settings", "are not verified", "MODEL_REGISTRY_CA_FILE", verdict="warning")
def certificates_that_are_not_verified(world: World) -> None:
    world.environ["MODEL_REGISTRY_INSECURE"] = "registry.example.com"
