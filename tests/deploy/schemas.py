"""Deployment files, checked against the schemas of Kubernetes."""

from collections.abc import Iterable

import kubernetes_validate

from tests.deploy.kustomize import Object

KUBERNETES = ("1.28", "1.37")
"""The oldest and the newest version that is checked against."""


def validate(obj: Object) -> None:
    for version in KUBERNETES:
        kubernetes_validate.validate(obj, version, strict=True)


def deployment_with(containers: Iterable[Object]) -> Object:
    """A Deployment as the RHDH operator or a plain Backstage has it, with these containers in its pod."""
    labels = {"rhdh.redhat.com/app": "backstage-developer-hub"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "backstage-developer-hub"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": list(containers)}},
        },
    }
