"""What is known of connections, and which deployments use them."""

from collections import defaultdict
from collections.abc import Set as AbstractSet

from services.normalizer.facts import Ref
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.storage import secret_name


class Connected:
    """Connections, each with the deployments (references) that use it."""

    def __init__(self) -> None:
        self._known: dict[Ref, Connection] = {}
        self._users: defaultdict[Ref, set[str]] = defaultdict(set)
        self._used: dict[str, Ref] = {}

    def use(self, ref: str, cluster: str, facts: Deployment | None) -> None:
        """Take which connection a deployment uses now, none when it is gone."""
        key = connection_of(cluster, facts) if facts is not None else None
        former = self._used.pop(ref, None)
        if former is not None and former != key:
            self._users[former].discard(ref)
            if not self._users[former]:
                del self._users[former]
        if key is not None:
            self._used[ref] = key
            self._users[key].add(ref)

    def put(self, key: Ref, connection: Connection | None) -> set[str]:
        """Take what is known of a connection, None when nothing is; return the deployments that use it."""
        if self._known.get(key) == connection:
            return set()
        if connection is None:
            self._known.pop(key, None)
        else:
            self._known[key] = connection
        return set(self._users.get(key, ()))

    @property
    def refs(self) -> AbstractSet[Ref]:
        """The references of all that is known."""
        return self._known.keys()

    def of(self, ref: str) -> Connection | None:
        """Return what is known of the connection that a deployment uses."""
        key = self._used.get(ref)
        return self._known.get(key) if key is not None else None


def connection_of(cluster: str, facts: Deployment) -> Ref | None:
    """Return which connection leads to the files of a deployment, None when none does."""
    name = secret_name(facts.storage)
    return Ref("connection", cluster, (facts.namespace, name)) if name else None
