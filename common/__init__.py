"""What all services stand on: documents, rules, identity, settings, HTTP. Imports no service."""

__version__ = "0.1.0"
PRODUCT = "rhoai-connector"
"""The name of the connector in answers, labels and Events."""
LOCATION = "location"
STORAGE = "storage-rest"
NORMALIZER = "rhoai-normalizer"
"""The names of the services, which are those of their containers."""
LOCATION_PORT = 9090
STORAGE_PORT = 7070
NORMALIZER_PORT = 8081
"""The ports on which they listen unless they are told otherwise."""
