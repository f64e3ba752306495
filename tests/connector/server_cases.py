"""Further ways to break the world around a connector: servers that are not what they should be, and the way to them.

The doctor must name the cause, and the remedy must be that of this cause and of no other.
"""

import base64
import json
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.connector.broken import ACCOUNT, NAMESPACE, World
from tests.connector.cases import CASES, broken
from tests.objects import isvc

__all__ = ["CASES"]


async def named(world: World, answer: Callable[[web.Request], Awaitable[web.Response]]) -> None:
    """Name another program as the model registry."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    world.environ["MODEL_REGISTRY_URLS"] = await world.serve(app)


def refusing(world: World, status: int, message: str) -> None:
    """Have the API server refuse every write to the cache, as it does."""
    body = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": status}
    world.cluster.fault(
        "status", status=status, times=None, path="dryRun", body=json.dumps(body), content_type="application/json"
    )


@broken("registries", "302 redirects to https://oauth.example.com/authorize", "does not accept bearer tokens")
async def a_proxy_that_asks_for_a_login(world: World) -> None:
    async def answer(_: web.Request) -> web.Response:
        raise web.HTTPFound("https://oauth.example.com/authorize?state=secret")

    await named(world, answer)


@broken("registries", "302 redirects to https://127.0.0.1", "write https:// instead of http:// in the address")
async def a_route_that_redirects_to_tls(world: World) -> None:
    async def answer(request: web.Request) -> web.Response:
        raise web.HTTPFound(str(request.url.with_scheme("https")))

    await named(world, answer)


@broken(
    "registries", "400 Client sent an HTTP request to an HTTPS server", "write https:// instead of http:// in the ad"
)
async def a_server_that_expects_tls(world: World) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=400, text="Client sent an HTTP request to an HTTPS server.\n")

    await named(world, answer)


@broken("registries", "Server disconnected", "if it expects TLS, its address must begin with https://")
def a_server_that_hangs_up_without_tls(world: World) -> None:
    world.environ["MODEL_REGISTRY_URLS"] = world.cluster.url.replace("https:", "http:")


@broken(
    "registries", "it does not speak TLS", "write http:// instead of https:// in the address, which comes from MODEL"
)
def a_registry_without_tls(world: World) -> None:
    world.environ["MODEL_REGISTRY_URLS"] = world.registry.url.replace("http:", "https:")


@broken("registries", "200, but a web page instead of JSON", "a proxy in front of it asks for a login")
async def a_page_in_place_of_the_api(world: World) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>Log in</html>", content_type="text/html")

    await named(world, answer)


@broken("registries", "connection refused", "that its port is right in the address from MODEL_REGISTRY_URLS")
def a_wrong_port(world: World) -> None:
    world.environ["MODEL_REGISTRY_URLS"] = "http://127.0.0.1:1"


@broken("registries", "404", "without /api in MODEL_REGISTRY_URLS: the connector adds the path of the API")
def an_address_with_the_path_of_the_api(world: World) -> None:
    world.environ["MODEL_REGISTRY_URLS"] = f"{world.registry.url}/api/model_registry/v1alpha3"


@broken("registries", "no answer in time", "check the pods of model registry")
def a_registry_that_hangs(world: World) -> None:
    world.registry.fail("hang")
    world.timeout = 3.0


@broken("registries", "401", "set KFMR_TOKEN to a valid token, or remove it")
def a_wrong_token_for_registries(world: World) -> None:
    world.environ["KFMR_TOKEN"] = "another"


@broken("registries", "401", '"Credentials and API server" above shows what is wrong with the token')
def a_token_in_quotation_marks(world: World) -> None:
    world.environ["token"] = f'"{world.environ["token"]}"'


@broken("registries", "its certificate is cut off or damaged", "openssl x509")
def a_file_of_authorities_that_is_damaged(world: World) -> None:
    file = world.directory / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nMIIgarbage\n-----END CERTIFICATE-----\n")
    world.environ["MODEL_REGISTRY_CA_FILE"] = str(file)


@broken("settings", "expected true or false", "correct or remove AI_ASSETS_ONLY")
def a_switch_in_another_language(world: World) -> None:
    world.environ["AI_ASSETS_ONLY"] = "ja"


@broken("settings", "expected names of namespaces, separated by commas", "correct or remove WATCH_NAMESPACES")
def namespaces_without_commas(world: World) -> None:
    world.environ["WATCH_NAMESPACES"] = "models;fraud"


@broken("settings", "without https://", "correct or remove MODEL_REGISTRY_INSECURE")
def an_address_in_place_of_a_host(world: World) -> None:
    world.environ["MODEL_REGISTRY_INSECURE"] = "https://registry.example.com"


@broken("models", "transition status is InvalidSpec: no runtime vllm", "kubectl describe", verdict="warning")
def a_runtime_that_does_not_exist(world: World) -> None:
    failure = {"reason": "RuntimeNotRecognized", "message": "no runtime vllm"}
    status = {"modelStatus": {"transitionStatus": "InvalidSpec", "lastFailureInfo": failure}}
    world.cluster.apply(isvc("wine") | {"status": status})


@broken("registries", "ca.pem is empty", "write the certificate of the registries' authority", verdict="warning")
def a_file_of_authorities_that_is_empty(world: World) -> None:
    file = world.directory / "ca.pem"
    file.write_text("\n")
    world.environ["MODEL_REGISTRY_CA_FILE"] = str(file)


@broken("credentials", "it has no line -----BEGIN CERTIFICATE-----", "give the whole certificate")
def an_authority_in_base64(world: World) -> None:
    world.environ["ca.crt"] = base64.b64encode(world.environ["ca.crt"].encode()).decode()


@broken("credentials", "certificate not trusted", "give the container the key ca.crt too, with envFrom")
def a_token_without_an_authority(world: World) -> None:
    del world.environ["ca.crt"]


@broken("credentials", "429", "the API server is overloaded, starting or being updated: wait a minute")
def an_api_server_that_is_overloaded(world: World) -> None:
    world.cluster.fault("status", status=429, times=None)


@broken("credentials", "it does not speak TLS", "correct the address of the API server: another program seems")
def another_program_at_the_address_of_the_api_server(world: World) -> None:
    world.environ["KUBERNETES_SERVICE_PORT"] = world.registry.url.rpartition(":")[2]


@broken("credentials", "is no Kubernetes API, but perhaps a login page", "correct the address of the API server")
def a_login_page_in_place_of_the_api_server(world: World) -> None:
    world.cluster.fault("status", status=200, times=None, body="<html>Log in</html>")


@broken("cache", "the connection was lost in the middle of the answer", "check that the API server runs")
def an_api_server_that_breaks_off(world: World) -> None:
    world.cluster.fault("truncate", times=None, path="configmaps")


@broken("backstage", "location's metrics are not this connector's", "", verdict="skipped")
def metrics_of_another_program(world: World) -> None:
    world.pod.metrics = "<html>"


@broken("credentials", "the clock of this machine is 60 minutes behind", "with NTP", verdict="warning")
def a_clock_that_is_an_hour_late(world: World) -> None:
    world.clock = lambda: time.time() - 3600


@broken(
    "credentials",
    f"the account is {ACCOUNT}, but the namespace of the cache is rhdh",
    "if the pod is in namespace ai-rhdh, correct POD_NAMESPACE",
    verdict="warning",
)
def a_wrong_namespace(world: World) -> None:
    world.environ["POD_NAMESPACE"] = "rhdh"


@broken(
    "rights", "may not get, list, watch, create, patch configmaps", f"rolebinding rhdh-rhoai-connector -n {NAMESPACE}"
)
def a_role_binding_in_another_namespace(world: World) -> None:
    world.allow({p._replace(namespace="other") if p.resource == "configmaps" else p for p in world.rights})


@broken("models", "cannot be listed", "the API server is overloaded")
def models_that_the_api_server_fails_to_list(world: World) -> None:
    world.cluster.fault("status", status=500, times=None, resource="inferenceservices")


@broken("cache", "exceeded quota", f"kubectl describe resourcequota -n {NAMESPACE}")
def a_quota_of_config_maps(world: World) -> None:
    refusing(world, 403, 'configmaps "bac-import-model" is forbidden: exceeded quota: objects, limited: configmaps=10')


@broken(
    "cache",
    "denied the request",
    f"exempt the ConfigMaps whose names begin with bac-import-model in namespace {NAMESPACE}",
)
def a_webhook_that_denies(world: World) -> None:
    refusing(world, 400, 'admission webhook "validate.kyverno.svc-fail" denied the request: the label team is required')


@broken("cache", "failed calling webhook", "does not answer: repair it")
def a_webhook_that_does_not_answer(world: World) -> None:
    refusing(world, 500, 'Internal error occurred: failed calling webhook "policy": context deadline exceeded')


@broken("cache", "being terminated", f"namespace {NAMESPACE} is being deleted")
def a_namespace_that_is_being_deleted(world: World) -> None:
    refusing(world, 403, f"unable to create new content in namespace {NAMESPACE} because it is being terminated")


@broken("backstage", "has asked for the feed 12 times, and was refused each", "readers in the same pod need no token")
def a_reader_without_a_token(world: World) -> None:
    world.pod.metrics = world.pod.metrics.replace('code="200"', 'code="401"')


@broken("backstage", "12 requests asked for paths that it does not have", "must be kserve-kubeflow", verdict="warning")
def a_plugin_with_another_key(world: World) -> None:
    world.pod.metrics = world.pod.metrics.replace('code="200"', 'code="404"').replace('route="/list"', 'route="none"')


@broken("cache", "may not be more than 1048576 bytes", "replace the original sidecars, which write into one ConfigMap")
def a_config_map_that_is_full(world: World) -> None:
    refusing(world, 422, 'ConfigMap "bac-import-model" is invalid: data: Too long: may not be more than 1048576 bytes')


@broken("credentials", "kubernetes.invalid", "the name kubernetes.invalid is unknown here")
def an_api_server_whose_name_no_one_knows(world: World) -> None:
    world.environ["KUBERNETES_SERVICE_HOST"] = "kubernetes.invalid"


@broken("settings", "expected a URL such as http://localhost:7070", "correct or remove STORAGE_URL")
def an_address_of_storage_without_a_scheme(world: World) -> None:
    world.environ["STORAGE_URL"] = "localhost:7070"


@broken("feed", "something other than the connector answers there", f"kubectl get pods -n {NAMESPACE}")
def another_program_in_place_of_location(world: World) -> None:
    world.pod.ready["location"] = {"status": "ready"}


@broken("feed", "storage-rest does not answer", f"kubectl logs -n {NAMESPACE} backstage-7d4-x2 -c storage-rest")
def a_storage_that_does_not_run(world: World) -> None:
    world.environ["HOSTNAME"] = "backstage-7d4-x2"
    world.pod.absent.add("storage-rest")
