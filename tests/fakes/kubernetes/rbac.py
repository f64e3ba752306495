"""Who may do what: bearer tokens, RBAC rules, and a record of everything that was asked for."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.fakes.kubernetes.status import ApiError


@dataclass(frozen=True, order=True)
class Access:
    """What one request needs a permission for."""

    user: str
    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of a Role in `namespace`, or of a ClusterRole bound everywhere when that is empty."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    namespace: str = ""

    def permits(self, access: Access) -> bool:
        """Whether this rule alone is enough."""
        resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
        return (
            self.namespace in ("", access.namespace)
            and _covers(self.api_groups, access.group)
            and _covers(self.resources, resource)
            and _covers(self.verbs, access.verb)
        )


EVERYTHING = (Rule(api_groups=("*",), resources=("*",), verbs=("*",)),)
READ = ("get", "list", "watch")


def documented_rules(namespace: str) -> tuple[Rule, ...]:
    """The RBAC of the documented installation (RHDH: setting up the OpenShift AI connector), pod in `namespace`."""
    return (
        Rule(api_groups=("apiextensions.k8s.io",), resources=("customresourcedefinitions",), verbs=("get",)),
        Rule(api_groups=("route.openshift.io",), resources=("routes",), verbs=READ),
        Rule(api_groups=("",), resources=("serviceaccounts", "services"), verbs=READ),
        Rule(api_groups=("serving.kserve.io",), resources=("inferenceservices",), verbs=READ),
        Rule(
            api_groups=("",),
            resources=("configmaps",),
            verbs=(*READ, "create", "update", "patch"),
            namespace=namespace,
        ),
    )


def permitted(rules: Iterable[Rule], access: Access) -> bool:
    """Whether one of the rules permits the access."""
    return any(rule.permits(access) for rule in rules)


@dataclass
class Guard:
    """The tokens that are known, their users' rules, and what these users did."""

    tokens: dict[str, str] = field(default_factory=dict)
    authorizations: set[str] = field(default_factory=set)
    rules: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    used: set[Access] = field(default_factory=set)
    denied: set[Access] = field(default_factory=set)

    def grant(self, token: str, user: str, rules: Iterable[Rule]) -> None:
        """Accept the token as this user's; the rules replace those the user had."""
        self.tokens[token] = user
        self.rules[user] = tuple(rules)

    def revoke(self, token: str) -> None:
        """Accept the token no longer."""
        self.tokens.pop(token, None)

    def authenticate(self, authorization: str) -> str:
        """The user of an Authorization header.

        Raises:
            ApiError: 401 without a known bearer token.
        """
        self.authorizations.add(authorization)
        scheme, _, token = authorization.partition(" ")
        user = self.tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise ApiError(401, "Unauthorized")
        return user

    def authorize(self, access: Access, name: str) -> None:
        """Record the access, and refuse it when no rule permits it.

        Raises:
            ApiError: 403, in the words of the real server.
        """
        self.used.add(access)
        if permitted(self.rules[access.user], access):
            return
        self.denied.add(access)
        qualified = f"{access.resource}.{access.group}" if access.group else access.resource
        resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
        where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
        subject = f'{qualified} "{name}"' if name else qualified
        message = (
            f'{subject} is forbidden: User "{access.user}" cannot {access.verb} resource "{resource}"'
            f' in API group "{access.group}" {where}'
        )
        details = {"name": name, "group": access.group, "kind": access.resource}
        raise ApiError(403, message, details={key: value for key, value in details.items() if value})


def _covers(allowed: tuple[str, ...], wanted: str) -> bool:
    return "*" in allowed or wanted in allowed
