"""Turns what sources report (KServe, model registries, manifests) into the documents that storage keeps."""
