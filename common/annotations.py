"""Annotations in the documents of models: the normalizer writes them, location reads them."""

from typing import Final

NAME_ANNOTATION: Final = "rhdh.modelcatalog.io/model-name"
"""What a client writes as the model's name in a request."""
CARD_ANNOTATION: Final = "TechDocs"
"""The page with a model's card, for the first generation."""
CLUSTER_ANNOTATION: Final = "rhdh.modelcatalog.io/cluster"
"""The name of the cluster that a model is in, where there are several."""
INTERNAL_URL_ANNOTATION: Final = "rhdh.modelcatalog.io/internal-service-url"
EXTERNAL_URL_ANNOTATION: Final = "rhdh.modelcatalog.io/external-route-url"
"""The addresses of a model server inside and outside of its cluster."""
