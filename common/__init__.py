"""What all services stand on: documents, rules, identity, settings, HTTP. Imports no service."""
