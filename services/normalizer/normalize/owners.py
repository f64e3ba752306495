"""Who owns an entity: from what people write as an owner to the bare user name that documents have.

The readers of both generations put `user:` before any name (Backstage: "Entity References"), also in the override
`rhdh.io/owner` that the second one has, so no document can name a group. The full reference is kept with the
document for readers that can use it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from common import backstage
from services.normalizer.normalize import values

_REFERENCE = re.compile(
    r"(?:(?P<kind>[a-z]+):)?(?:(?P<namespace>[a-z0-9]+(?:-[a-z0-9]+)*)/)?(?P<name>[^:/@\s]+)\Z", re.IGNORECASE
)
_OWNER_KINDS = ("user", "group")
# A reference with a name that Backstage refuses: `group:default/ML team`.
_LOOSE_REFERENCE = re.compile(
    r"(?P<kind>user|group):(?:(?P<namespace>[a-z0-9]+(?:-[a-z0-9]+)*)/)?(?P<name>[^:/@]+)\Z", re.IGNORECASE
)
_EMAIL = re.compile(r"(?:mailto:)?(?P<local>[^@\s:/]+)@[^@\s]+\Z", re.IGNORECASE)
_MAILBOX = re.compile(r"[^<>]*<\s*(?P<address>[^<>\s]+)\s*>\Z")
_DISTINGUISHED_NAME = re.compile(r"(?:cn|uid)\s*=\s*(?P<name>[^,]+),.*=", re.IGNORECASE)
_LIST = re.compile(r"\s*[,;]\s*")


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner as documents name it.

    `reference` is the full entity reference where the bare name is not enough (a group, another namespace). `exact` is
    false when characters were lost.
    """

    name: str
    reference: str = ""
    exact: bool = True


@lru_cache(maxsize=1024)
def parse_owner(written: str) -> Owner | None:
    """Return the owner that `written` names, or None when no valid name can be made of it.

    An entity reference gives its name, an e-mail address its local part (what Backstage's sign-in resolver
    `emailLocalPartMatchingUserEntityName` looks for), a distinguished name of LDAP its `cn` or `uid`, a list its first
    owner; anything else is sanitised. An account of the cluster itself (`system:serviceaccount:...`) owns nothing.
    """
    owner = values.line(written)
    if is_system_account(owner) or ":/" in owner:  # an address, such as models:/name/1?token=...
        return None
    if entry := _DISTINGUISHED_NAME.match(owner):
        return _sanitised(entry["name"])
    if mailbox := _MAILBOX.match(owner):
        return _parse_one(mailbox["address"])
    first, *others = filter(None, _LIST.split(owner)) if owner.strip(",; ") else [owner]
    parsed = _parse_one(first)
    return Owner(parsed.name, parsed.reference, exact=False) if parsed and others else parsed


def is_system_account(written: str) -> bool:
    """Return whether an account belongs to the cluster itself, such as a service account, and not to a person."""
    return written.startswith("system:")


def entity_reference(written: str, *, kind: str) -> str | None:
    """Return the full reference, `kind:namespace/name`, to an entity of that kind, or None when it is invalid."""
    reference = _REFERENCE.match(values.line(written))
    if reference is None or not backstage.is_entity_name(reference["name"]):
        return None
    if (reference["kind"] or kind).lower() != kind:
        return None
    return f"{kind}:{(reference['namespace'] or 'default').lower()}/{reference['name']}"


def _parse_one(owner: str) -> Owner | None:
    if mailbox := _MAILBOX.match(owner):
        owner = mailbox["address"]
    for kind in _OWNER_KINDS:
        if reference := entity_reference(owner, kind=kind):
            name = reference.rpartition("/")[2]
            return Owner(name, "" if reference == f"user:default/{name}" else reference)
    if (loose := _LOOSE_REFERENCE.match(owner)) and (name := backstage.sanitize(loose["name"])):
        kind, namespace = loose["kind"].lower(), (loose["namespace"] or "default").lower()
        plain = (kind, namespace) == ("user", "default")
        return Owner(name, "" if plain else f"{kind}:{namespace}/{name}", exact=False)
    if email := _EMAIL.match(owner):
        local = email["local"].partition("+")[0]
        name = local if backstage.is_entity_name(local) else backstage.sanitize(local)
        return Owner(name) if name else None
    return _sanitised(owner)


def _sanitised(owner: str) -> Owner | None:
    name = backstage.sanitize(owner)
    return Owner(name, exact=False) if name else None
