"""What all services stand on: documents, rules, identity, settings, HTTP. Imports no service."""

__version__ = "0.1.0"
