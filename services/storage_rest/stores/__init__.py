"""The stores, in which storage-rest's cache survives a restart: ConfigMaps, a file, or memory only."""
