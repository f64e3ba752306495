"""Tags, in the forms that Backstage keeps (Backstage: "Descriptor Format", metadata.tags).

Labels and custom properties of people become tags; those that tools write for themselves would only flood the catalog's
filter.
"""

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache

from common import backstage

MACHINERY = (
    "*.k8s.io/*",
    "*.kubernetes.io/*",
    "k8s-app",
    "kubernetes.io/*",
    "controller-revision-hash",
    "pod-template-*",
    "rollouts-pod-template-hash",
    "chart",
    "helm.sh/*",
    "heritage",
    "meta.helm.sh/*",
    "*.argoproj.io/*",
    "*.fluxcd.io/*",
    "fluxcd.io/*",
    "*.knative.dev/*",
    "*.x-k8s.io/*",
    "*.tekton.dev/*",
    "tekton.dev/*",
    "istio.io/*",
    "*.istio.io/*",
    "maistra.io/*",
    "olm.*",
    "operators.coreos.com/*",
    "velero.io/*",
    "kyverno.io/*",
    "*.kyverno.io/*",
    "crossplane.io/*",
    "*.crossplane.io/*",
    "external-secrets.io/*",
    "*.external-secrets.io/*",
    "prometheus.io/*",
    "openshift.io/*",
    "*.openshift.io/*",
    "backstage.io/*",
    "rhdh.io/*",
    "*.rhdh.io/*",
    "rhdh.modelcatalog.io/*",
    "*.kserve.io/*",
    "*.kubeflow.org/*",
    "mlflow.*",
    "*.opendatahub.io/*",
    "opendatahub.io/*",
    "_*",
)
"""Labels of Kubernetes and OpenShift, of what deploys, secures and watches there, of Backstage, KServe, Kubeflow,
MLflow and the dashboard, and the properties that dashboards keep to themselves (`_...`); `*` is any text."""

KEEP = "!"
"""What begins a pattern of keys that are tags although an earlier pattern matches them."""


@lru_cache(maxsize=1024)
def is_machinery(key: str, ignored: tuple[str, ...] = ()) -> bool:
    """Return whether a label or custom property is no tag; the last pattern that matches its key decides.

    `ignored` are patterns after the built-in ones; one that begins with `!` makes tags of what it matches.
    """
    state = False
    for pattern, decision in _patterns(ignored):
        if decision != state and pattern.match(key):
            state = decision
    return state


def label_tag(key: str, value: str, ignored: tuple[str, ...] = ()) -> str | None:
    """Return the tag for a Kubernetes label, or None for machinery and when nothing of it can stand in a tag."""
    if is_machinery(key, ignored):
        return None
    return backstage.tag(backstage.sanitize(f"{backstage.sanitize(key)}-{backstage.sanitize(value)}"))


def tag_set(tags: Iterable[str | None]) -> tuple[str, ...]:
    """Return the tags sorted, each once, without None."""
    return tuple(sorted({tag for tag in tags if tag}))


@lru_cache(maxsize=8)
def _patterns(ignored: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], bool], ...]:
    """Return neighbouring patterns of one decision as one expression each, with whether they ignore or keep."""
    grouped: list[tuple[list[str], bool]] = []
    for written in (*MACHINERY, *ignored):
        decision = not written.startswith(KEEP)
        if not grouped or grouped[-1][1] != decision:
            grouped.append(([], decision))
        grouped[-1][0].append(translate(written.removeprefix(KEEP)))
    return tuple((re.compile("|".join(patterns)), decision) for patterns, decision in grouped)
