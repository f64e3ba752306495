"""Who owns an entity: from what people write as an owner to the bare user name that the documents carry.

The readers of both generations put `user:` before the name, whatever it is (Backstage: "Entity References"), also
before the override `rhdh.io/owner` that the second knows: no document can name a group.
"""

import re
from dataclasses import dataclass

from common import backstage
from services.normalizer.normalize import values

_REFERENCE = re.compile(
    r"(?:(?P<kind>user|group):)?(?:(?P<namespace>[a-z0-9]+(?:-[a-z0-9]+)*)/)?(?P<name>[^:/@\s]+)\Z", re.IGNORECASE
)
_EMAIL = re.compile(r"(?:mailto:)?(?P<local>[^@\s:/]+)@[^@\s]+\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner as the documents name it.

    `reference` is the full entity reference where the bare name does not say it all (a group, another namespace).
    `exact` is false when characters were lost.
    """

    name: str
    reference: str = ""
    exact: bool = True


def parse_owner(written: str) -> Owner | None:
    """Return the owner that `written` means, or None when no name can be made of it.

    An entity reference gives its name, an e-mail address its local part (what Backstage's sign-in resolver
    `emailLocalPartMatchingUserEntityName` looks for); anything else is sanitised.
    """
    owner = values.line(written)
    if (reference := _REFERENCE.match(owner)) and backstage.is_entity_name(reference["name"]):
        kind, namespace = (reference["kind"] or "user").lower(), (reference["namespace"] or "default").lower()
        plain = kind == "user" and namespace == "default"
        return Owner(reference["name"], "" if plain else f"{kind}:{namespace}/{reference['name']}")
    if email := _EMAIL.match(owner):
        local = email["local"].partition("+")[0]
        owner = local if backstage.is_entity_name(local) else backstage.sanitize(local)
        return Owner(owner) if owner else None
    name = backstage.sanitize(owner)
    return Owner(name, exact=False) if name else None
