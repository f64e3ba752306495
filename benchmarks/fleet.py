"""The models of a benchmark."""

from typing import Any

from tests.objects import isvc, predictor_service

NAMESPACES = 8
"""Models are spread over so many namespaces."""


def namespace_of(number: int) -> str:
    """Return the namespace of the n-th model."""
    return f"team-{number % NAMESPACES}"


def name_of(number: int) -> str:
    """Return the name of the n-th InferenceService."""
    return f"model-{number:05}"


def uri_of(number: int) -> str:
    """Return where the n-th InferenceService is served."""
    return f"/{namespace_of(number)}/{name_of(number)}/model-catalog.json"


def service_of(number: int, **options: Any) -> dict[str, Any]:
    """Return the n-th InferenceService, described as people describe theirs."""
    annotations = {
        "modelcatalogbridge.rhdh.io/description": f"Answers questions about topic {number}",
        "modelcatalogbridge.rhdh.io/owner": "data-science",
        **options.pop("annotations", {}),
    }
    labels = {"opendatahub.io/dashboard": "true", "app": "assistant"}
    return isvc(
        name_of(number),
        namespace_of(number),
        annotations=annotations,
        labels=labels,
        runtime="vllm-runtime",
        model_format="vLLM",
        **options,
    )


def services(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Return InferenceServices, each followed by its predictor's Service."""
    objects = []
    for number in range(first, first + count):
        owner = service_of(number)
        objects += [owner, predictor_service(owner)]
    return objects
