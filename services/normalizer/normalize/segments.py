"""The two parts of a key and a URI that an object asks for."""

import re

from common import backstage

# What Kubernetes admits as a namespace or an isvc's name, and what no path or ConfigMap key stumbles over.
_KUBERNETES_NAME = re.compile(r"[a-zA-Z0-9](?:[-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?\Z")


def segment(raw: str) -> str:
    """Return the sanitised name of a registered model or version; a stable hash of it when nothing is left."""
    return backstage.entity_name(raw)


def kubernetes_segment(name: str) -> str:
    """Return a Kubernetes name as it is; one that no API server would have admitted is made a segment."""
    return name if _KUBERNETES_NAME.match(name) else segment(name)
