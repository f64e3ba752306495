"""Where models come from: clusters that are watched, registries that are polled, manifests that are read."""
