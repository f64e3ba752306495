"""Sends requests to an API server without retries, and returns each answer or error."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import quote

from common.clocks import wall_time
from common.http.client import HttpClient, Response
from common.http.errors import RemoteError, StatusError
from common.kube.credentials import Credentials
from common.kube.resources import LLM_INFERENCE_SERVICES, PODS, Resource

T = TypeVar("T")
Asked: TypeAlias = T | RemoteError
"""The answer to a request, or the error."""

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_MERGE = {"Content-Type": "application/merge-patch+json"}
_PAGE = 500


class ApiServerClient:
    """The doctor's client for an API server. Use as an asynchronous context manager."""

    def __init__(self, credentials: Credentials, *, timeout: float, clock: Callable[[], float] = wall_time) -> None:
        self.credentials = credentials
        self._clock = clock
        self._http = HttpClient(
            name="the Kubernetes API",
            base_url=credentials.server,
            token=credentials.token,
            ssl=credentials.ssl,
            timeout=timeout,
            attempts=1,
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._http.__aexit__(*exc_info)

    async def ahead(self) -> Asked[float]:
        """Return how many seconds this machine's clock is ahead of the API server's; an error if it is none."""
        answer = await self._ask("GET", "/version")
        if isinstance(answer, RemoteError):
            return answer
        try:
            is_api = "gitVersion" in answer.json()
        except (RemoteError, TypeError):
            is_api = False
        if not is_api:
            return RemoteError(f"{answer.url}: what answers there is no Kubernetes API, but perhaps a login page")
        try:
            return self._clock() - parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return 0.0

    async def user(self) -> Asked[str]:
        """Return our user name at the API server."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self._json("POST", _WHO, json=body)
        return answer if isinstance(answer, RemoteError) else str(_at(answer, "status", "userInfo", "username") or "")

    async def may(self, *, verb: str, group: str, resource: str, namespace: str) -> Asked[bool]:
        """Return whether we have a permission; an empty `namespace` means all."""
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = await self._json("POST", _REVIEWS, json=body)
        return answer if isinstance(answer, RemoteError) else bool(_at(answer, "status", "allowed"))

    async def served(self, group: str, version: str = "") -> Asked[Mapping[str, Any] | None]:
        """Return the discovery document of an API group or one of its versions, None if it is not served."""
        answer = await self._json("GET", "/".join(filter(None, ["/apis", group, version])))
        return None if isinstance(answer, StatusError) and answer.status == 404 else answer

    async def llm_kind(self) -> Resource | None:
        """Return LLMInferenceServices in the version that the cluster has, if any."""
        for resource in LLM_INFERENCE_SERVICES:
            served = await self.served(resource.group, resource.version)
            if isinstance(served, Mapping) and resource.plural in plurals(served):
                return resource
        return None

    async def objects(
        self, resource: Resource, namespace: str | None = None, *, selector: str = ""
    ) -> Asked[Sequence[Any]]:
        """Return all objects of a kind, in one namespace or all."""
        params = {"limit": str(_PAGE), **({"labelSelector": selector} if selector else {})}
        items: list[Any] = []
        while True:
            answer = await self._json("GET", resource.path(namespace), params=params)
            if isinstance(answer, RemoteError):
                return answer
            items += answer.get("items") or []
            token = _at(answer, "metadata", "continue")
            if not token:
                return items
            params = {**params, "continue": token}

    async def object(self, resource: Resource, namespace: str, name: str) -> Asked[Mapping[str, Any]]:
        """Return one object."""
        answer = await self._json("GET", resource.path(namespace, name))
        return answer if isinstance(answer, RemoteError | Mapping) else {}

    async def rehearse(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Asked[None]:
        """Ask the API server (dry run) whether it would accept a merge patch, or a new object if there is none."""
        path = f"{resource.path(namespace)}/{quote(name, safe='')}"
        answer = await self._json("PATCH", path, params={"dryRun": "All"}, json=patch, headers=_MERGE)
        if isinstance(answer, StatusError) and answer.status == 404:
            body = {"apiVersion": resource.version, "kind": "ConfigMap", **patch, "metadata": {"name": name}}
            answer = await self._json("POST", resource.path(namespace), params={"dryRun": "All"}, json=body)
        return answer if isinstance(answer, RemoteError) else None

    async def log(self, namespace: str, pod: str, container: str, *, lines: int) -> Asked[str]:
        """Return the last lines of a container's log."""
        path = f"{PODS.path(namespace)}/{quote(pod, safe='')}/log"
        answer = await self._ask("GET", path, params={"container": container, "tailLines": str(lines)})
        return answer if isinstance(answer, RemoteError) else answer.body.decode("utf-8", "replace")

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        answer = await self._ask(method, path, **options)
        try:
            return answer if isinstance(answer, RemoteError) else answer.json()
        except RemoteError as error:
            return error

    async def _ask(self, method: str, path: str, **options: Any) -> Response | RemoteError:
        try:
            return await self._http.request(method, path, **options)
        except RemoteError as error:
            return error


def is_forbidden(answer: object) -> bool:
    """Return whether an answer is that RBAC denies the request; webhooks and quotas answer 403 too."""
    return isinstance(answer, StatusError) and answer.status == HTTPStatus.FORBIDDEN and " cannot " in answer.reason


def short(error: RemoteError) -> str:
    """Return an error in words; a right that is missing is named in full elsewhere."""
    return "the right is missing" if is_forbidden(error) else str(error)


def plurals(document: Mapping[str, Any]) -> Iterable[str]:
    """Return the plural names of the kinds in the discovery document of a version."""
    return [str(each.get("name")) for each in document.get("resources") or [] if isinstance(each, dict)]


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
