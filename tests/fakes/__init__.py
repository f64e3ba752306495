"""Stand-ins for the servers around the connector, over real HTTP."""
