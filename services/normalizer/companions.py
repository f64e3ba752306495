"""What belongs to deployments: their Services and ServiceAccounts, their runtimes and their connections. Pure."""

from collections import defaultdict
from collections.abc import Iterator

from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.deployment import Belongings, Deployment, ServiceAccountFacts, ServiceFacts
from services.normalizer.normalize.runtimes import Runtime
from services.normalizer.normalize.storage import secret_name
from services.normalizer.source import Fact

Owned = ServiceFacts | ServiceAccountFacts
Used = Runtime | Connection


class Companions:
    """The objects that deployments own, by owner, and the objects that they use, by user."""

    def __init__(self) -> None:
        self._owned: dict[Ref, Owned] = {}
        self._by_owner: defaultdict[str, dict[Ref, Owned]] = defaultdict(dict)
        self._used: dict[Ref, Used] = {}
        self._users: defaultdict[Ref, set[str]] = defaultdict(set)

    def put(self, ref: Ref, fact: Fact | Gone | Missing | Unusable) -> set[str]:
        """Take an object or its absence; return the deployments that it belongs or belonged to.

        An object that cannot be read stays as it was.
        """
        match fact:
            case Unusable():
                return set()
            case ServiceFacts() | ServiceAccountFacts():
                return self._put_owned(ref, fact)
            case Runtime() | Connection():
                return self._put_used(ref, fact)
        return self._put_owned(ref, None) | self._put_used(ref, None)

    def use(self, ref: str, former: Deployment | None, deployment: Deployment | None) -> None:
        """Set what a deployment uses now, None when it is gone; `former` are its facts before."""
        cluster = Ref.parse(ref).place
        before, after = set(_uses(cluster, former)), set(_uses(cluster, deployment))
        for key in before - after:
            self._users[key].discard(ref)
            if not self._users[key]:
                del self._users[key]
        for key in after - before:
            self._users[key].add(ref)

    def of(self, ref: str, deployment: Deployment) -> Belongings:
        """Return what belongs to a deployment; a runtime in its namespace is preferred to one of the cluster."""
        owned = self._by_owner.get(ref, {}).values()
        runtime = connection = None
        if self._used:
            cluster, name = Ref.parse(ref).place, deployment.served.runtime
            places = (Ref("runtime", cluster, (namespace, name)) for namespace in (deployment.namespace, ""))
            runtime = next((each for key in places if isinstance(each := self._used.get(key), Runtime)), None)
            key = connection_of(cluster, deployment)
            connection = self._used.get(key) if key is not None else None
        return Belongings(
            services=tuple(each for each in owned if isinstance(each, ServiceFacts)),
            service_accounts=tuple(each for each in owned if isinstance(each, ServiceAccountFacts)),
            runtime=runtime,
            connection=connection.of(deployment.name) if isinstance(connection, Connection) else None,
        )

    def of_cluster(self, cluster: str) -> set[Ref]:
        """Return the objects of a cluster that are known."""
        return {ref for ref in (*self._owned, *self._used) if ref.place == cluster}

    def _put_owned(self, ref: Ref, new: Owned | None) -> set[str]:
        former = self._owned.pop(ref, None)
        touched = set(_owners(ref, former))
        for owner in touched:
            del self._by_owner[owner][ref]
            if not self._by_owner[owner]:
                del self._by_owner[owner]
        if new is not None and new.owners:
            self._owned[ref] = new
            for owner in _owners(ref, new):
                self._by_owner[owner][ref] = new
                touched.add(owner)
        return touched

    def _put_used(self, ref: Ref, new: Used | None) -> set[str]:
        if self._used.get(ref) == new:
            return set()
        if new is None:
            del self._used[ref]
        else:
            self._used[ref] = new
        return set(self._users.get(_key(ref), ()))


def connection_of(cluster: str, deployment: Deployment) -> Ref | None:
    """Return the connection that leads to the files of a deployment, None when there is none."""
    name = secret_name(deployment.storage)
    return Ref("connection", cluster, (deployment.namespace, name)) if name else None


def _owners(ref: Ref, owned: Owned | None) -> Iterator[str]:
    owners = owned.owners if owned is not None else ()
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
