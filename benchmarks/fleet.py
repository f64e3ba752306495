"""The models of a benchmark."""

from collections.abc import Mapping
from typing import Any

from tests.objects import isvc, llm_isvc, predictor_service

_LABELS = {"opendatahub.io/dashboard": "true", "app": "assistant"}
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
    return isvc(
        name_of(number),
        namespace_of(number),
        annotations=_annotations(number, options.pop("annotations", {})),
        labels=_LABELS,
        runtime="vllm-runtime",
        model_format="vLLM",
        **options,
    )


def llm_service_of(number: int, **options: Any) -> dict[str, Any]:
    """Return the n-th LLMInferenceService, described alike."""
    annotations = _annotations(number, options.pop("annotations", {}))
    return llm_isvc(name_of(number), namespace_of(number), annotations=annotations, labels=_LABELS, **options)


def _annotations(number: int, others: Mapping[str, str]) -> dict[str, str]:
    return {
        "modelcatalogbridge.rhdh.io/description": f"Answers questions about topic {number}",
        "modelcatalogbridge.rhdh.io/owner": "data-science",
        **others,
    }


def services(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Return InferenceServices, each followed by its predictor's Service."""
    objects = []
    for number in range(first, first + count):
        owner = service_of(number)
        objects += [owner, predictor_service(owner)]
    return objects
