"""Where storage-rest keeps what must survive a restart: ConfigMaps, a file, or nothing at all."""
