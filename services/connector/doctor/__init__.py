"""`connector doctor`: walks the way of a model, from the cluster to the feed, and says what is in its way.

Every step is one module: what was asked, as plain values, and pure functions that judge it. `asking` does the asking,
`examination` runs the steps, `report` is what comes of it.
"""
