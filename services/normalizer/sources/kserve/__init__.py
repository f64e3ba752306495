"""Deployments of a cluster, and what belongs to them, followed."""
