"""The command `connector`: runs the three services in one process, previews manifests, and finds faults."""
