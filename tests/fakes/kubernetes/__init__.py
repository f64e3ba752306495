"""A Kubernetes API server for tests: real HTTP(S), the real semantics of the verbs, faults on command."""

from tests.fakes.kubernetes.cluster import ADMIN_TOKEN, FakeCluster
from tests.fakes.kubernetes.counts import MEASURED, Counts, Latency
from tests.fakes.kubernetes.faults import Fault
from tests.fakes.kubernetes.process import ProcessCluster
from tests.fakes.kubernetes.rbac import Access, Rule, documented_rules, permitted
from tests.fakes.kubernetes.resources import (
    INFERENCE_SERVICES,
    LLM_INFERENCE_SERVICES,
    ROUTES,
    ResourceType,
)
from tests.fakes.kubernetes.status import ApiError

__all__ = [
    "ADMIN_TOKEN",
    "INFERENCE_SERVICES",
    "LLM_INFERENCE_SERVICES",
    "MEASURED",
    "ROUTES",
    "Access",
    "ApiError",
    "Counts",
    "FakeCluster",
    "Fault",
    "Latency",
    "ProcessCluster",
    "ResourceType",
    "Rule",
    "documented_rules",
    "permitted",
]
