"""What belongs to deployments: their Services and ServiceAccounts, their runtimes and their connections. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeVar

from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.deployment import Belongings, Deployment, ServiceAccountFacts, ServiceFacts
from services.normalizer.normalize.runtimes import Runtime
from services.normalizer.normalize.storage import secret_name
from services.normalizer.source import Fact

Companion = ServiceFacts | ServiceAccountFacts | Runtime | Connection
K = TypeVar("K")
V = TypeVar("V")


class Companions:
    """The objects that belong to deployments, with the deployments that own them, or use them."""

    def __init__(self) -> None:
        self._objects: dict[Ref, Companion] = {}
        self._by_owner: defaultdict[str, set[Ref]] = defaultdict(set)
        self._users: defaultdict[Ref, set[str]] = defaultdict(set)

    def put(self, ref: Ref, fact: Fact | Gone | Missing | Unusable) -> set[str]:
        """Take an object or its absence; return the deployments that it belongs or belonged to.

        An object that cannot be read stays as it was.
        """
        if isinstance(fact, Unusable):
            return set()
        former = self._objects.pop(ref, None)
        new = fact if isinstance(fact, Companion) else None
        before, after = set(_owners(ref, former)), set(_owners(ref, new))
        if new is not None and (after or isinstance(new, Runtime | Connection)):
            self._objects[ref] = new
        _move(self._by_owner, ref, before, after)
        return before | after | (self._users.get(_key(ref), set()) if new != former else set())

    def use(self, ref: str, former: Deployment | None, deployment: Deployment | None) -> None:
        """Set what a deployment uses now, None when it is gone; `former` are its facts before."""
        cluster = Ref.parse(ref).place
        _move(self._users, ref, set(_uses(cluster, former)), set(_uses(cluster, deployment)))

    def of(self, ref: str, deployment: Deployment) -> Belongings:
        """Return what belongs to a deployment; a runtime in its namespace is preferred to one of the cluster."""
        owned = [self._objects[each] for each in sorted(self._by_owner.get(ref, ()))]
        cluster, name = Ref.parse(ref).place, deployment.served.runtime
        places = [Ref("runtime", cluster, (namespace, name)) for namespace in (deployment.namespace, "") if name]
        key = connection_of(cluster, deployment)
        connection = self._objects.get(key) if key is not None else None
        return Belongings(
            services=tuple(each for each in owned if isinstance(each, ServiceFacts)),
            service_accounts=tuple(each for each in owned if isinstance(each, ServiceAccountFacts)),
            runtime=next((each for key in places if isinstance(each := self._objects.get(key), Runtime)), None),
            connection=connection.of(deployment.name) if isinstance(connection, Connection) else None,
        )

    def of_cluster(self, cluster: str) -> set[Ref]:
        """Return the objects of a cluster that are known."""
        return {ref for ref in self._objects if ref.place == cluster}


def _move(index: defaultdict[K, set[V]], member: V, before: set[K], after: set[K]) -> None:
    """Have a member of an index found under the keys `after`, and no longer under those `before`."""
    for key in before - after:
        index[key].discard(member)
        if not index[key]:
            del index[key]
    for key in after - before:
        index[key].add(member)


def connection_of(cluster: str, deployment: Deployment) -> Ref | None:
    """Return the connection that leads to the files of a deployment, None when there is none."""
    name = secret_name(deployment.storage)
    return Ref("connection", cluster, (deployment.namespace, name)) if name else None


def _owners(ref: Ref, companion: Companion | None) -> Iterator[str]:
    owners = companion.owners if isinstance(companion, ServiceFacts | ServiceAccountFacts) else ()
    return (str(Ref.deployment(owner.kind, ref.place, ref.ids[0], owner.name)) for owner in owners)


def _uses(cluster: str, deployment: Deployment | None) -> Iterator[Ref]:
    """Yield the keys of the objects that a deployment uses."""
    if deployment is None:
        return
    if deployment.served.runtime:
        yield _key(Ref("runtime", cluster, ("", deployment.served.runtime)))
    if (connection := connection_of(cluster, deployment)) is not None:
        yield connection


def _key(ref: Ref) -> Ref:
    """Return what the users of an object are found by: of a runtime the name, in its namespace or in the cluster."""
    return Ref("runtime", ref.place, ("", ref.ids[1])) if ref.kind == "runtime" else ref
