"""What everybody may ask about themselves: who am I, and may I (authentication.k8s.io, authorization.k8s.io).

The ClusterRole system:basic-user, which the API server binds to all who are authenticated, allows it.
"""

from collections.abc import Mapping
from typing import Any

from tests.fakes.kubernetes.rbac import Access, Guard, permitted
from tests.fakes.kubernetes.requests import RequestInfo
from tests.fakes.kubernetes.status import bad_request

WHO = ("authentication.k8s.io", "selfsubjectreviews")
MAY = ("authorization.k8s.io", "selfsubjectaccessreviews")


def is_review(info: RequestInfo) -> bool:
    """Whether a request asks about its own user."""
    return info.verb == "create" and info.version == "v1" and (info.group, info.resource) in (WHO, MAY)


def answer(info: RequestInfo, body: Mapping[str, Any], user: str, guard: Guard) -> dict[str, Any]:
    """The review with its status.

    Raises:
        ApiError: 400 for a question about nothing.
    """
    kind = "SelfSubjectReview" if (info.group, info.resource) == WHO else "SelfSubjectAccessReview"
    head = {"kind": kind, "apiVersion": f"{info.group}/v1", "metadata": {}}
    if kind == "SelfSubjectReview":
        return head | {"status": {"userInfo": {"username": user, "groups": ["system:authenticated"]}}}
    spec = body.get("spec") or {}
    wanted = spec.get("resourceAttributes")
    if not isinstance(wanted, dict):
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    fields = {name: wanted.get(name, "") for name in ("verb", "group", "resource", "subresource", "namespace")}
    allowed = permitted(guard.rules[user], Access(user=user, **fields))
    reason = {"reason": "RBAC: allowed by a rule of this user"} if allowed else {}
    return head | {"spec": spec, "status": {"allowed": allowed, **reason}}
