"""The command `connector doctor`: checks each step from the cluster to the feed, and says what is wrong and what to do.

Each step is a module with pure functions that turn answers into findings. `asking` sends requests to an API server,
`registries` to registries and catalogs; `cluster` runs the steps of one cluster, `examination` all of them, `tracing`
those for one model; `report` formats the findings.
"""
