"""The pure mapping from objects of KServe and of model registries to documents; its rules are in docs/mapping.md.

No input or output, no clock, no event loop: the same objects always give the same documents. Nothing here raises
for an object that its API admits; what cannot be used is left out and becomes a `Problem`.
"""
