"""storage-rest: keeps every document and model card, tells location of each change."""
