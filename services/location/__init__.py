"""location: serves the feed of model documents on :9090, from memory, to both generations of the Backstage reader."""
