"""Access to the Kubernetes API: credentials, requests, and following collections of objects.

`kubernetes_asyncio` is imported only to read a kubeconfig: it takes 40 MB and a quarter of a second.
"""
