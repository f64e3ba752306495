"""Kubeflow model registries and model catalogs: found, polled, and handed over as records of models and versions."""
