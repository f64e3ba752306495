"""`connector doctor`: walks the way of a model, from the cluster to the feed, and says what is in its way.

Every step is one module: what was asked, as plain values, and pure functions that judge it. `asking` asks an API
server, `registries` asks registries and catalogs; `cluster` runs the steps of one cluster, `examination` all of them,
`tracing` those for one model; `report` is what comes of it.
"""
