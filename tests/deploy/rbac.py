"""What deploy/rbac permits the connector's service account, as a set to be compared with the calls that it makes."""

from collections.abc import Iterable
from typing import NamedTuple

from tests.deploy.kustomize import Object


class Permission(NamedTuple):
    """One verb on one resource; `namespace` is empty where it holds in every namespace, and for the whole cluster."""

    namespace: str
    group: str
    resource: str
    verb: str


ACCOUNT = {"kind": "ServiceAccount", "name": "rhdh-rhoai-connector", "namespace": "ai-rhdh"}


def granted(objects: Iterable[Object]) -> set[Permission]:
    """The permissions that the bindings among `objects` give the connector by roles that are among them, too.

    Roles that others make, such as those of a model registry, are not known here: see `foreign_roles`.
    """
    objects = list(objects)
    roles = {(o["kind"], _namespace(o), o["metadata"]["name"]): o for o in objects if "rules" in o}
    permissions = set()
    for binding in _bindings(objects):
        role = roles.get(_role_of(binding))
        for rule in role["rules"] if role else ():
            permissions |= {
                Permission(_namespace(binding), group, resource, verb)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            }
    return permissions


def foreign_roles(objects: Iterable[Object]) -> set[tuple[str, str]]:
    """Namespace and name of the roles that the connector is bound to and that are not among `objects`."""
    objects = list(objects)
    own = {(o["kind"], _namespace(o), o["metadata"]["name"]) for o in objects if "rules" in o}
    return {(_namespace(b), b["roleRef"]["name"]) for b in _bindings(objects) if _role_of(b) not in own}


def _bindings(objects: Iterable[Object]) -> list[Object]:
    return [o for o in objects if o["kind"].endswith("RoleBinding") and ACCOUNT in o["subjects"]]


def _role_of(binding: Object) -> tuple[str, str, str]:
    kind = binding["roleRef"]["kind"]
    return kind, "" if kind == "ClusterRole" else _namespace(binding), binding["roleRef"]["name"]


def _namespace(obj: Object) -> str:
    namespace: str = obj["metadata"].get("namespace", "")
    return namespace
