"""Kubernetes as the services need it: credentials, requests, and collections that are followed.

`kubernetes_asyncio` is loaded only when a kubeconfig has to be read: it costs 40 MB and a quarter of a second.
"""
