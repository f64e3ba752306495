"""Sources of the deployments of a cluster, with the objects that belong to them."""
