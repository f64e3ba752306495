"""From the sources (KServe, model registries, manifests) to the documents that storage keeps."""
