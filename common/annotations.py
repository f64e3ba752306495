"""The annotations in models' documents that the normalizer writes and location reads."""

from typing import Final

NAME_ANNOTATION: Final = "rhdh.modelcatalog.io/model-name"
"""The model's name in a request."""
CARD_ANNOTATION: Final = "TechDocs"
"""The address of a model's card, for the first-generation reader."""
TECHDOCS_REF: Final = "backstage.io/techdocs-ref"
"""Where TechDocs finds an entity's documentation."""
CLUSTER_ANNOTATION: Final = "rhdh.modelcatalog.io/cluster"
"""The name of a model's cluster, if there are several."""
INTERNAL_URL_ANNOTATION: Final = "rhdh.modelcatalog.io/internal-service-url"
EXTERNAL_URL_ANNOTATION: Final = "rhdh.modelcatalog.io/external-route-url"
"""The addresses of a model server inside and outside its cluster."""
