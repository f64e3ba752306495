"""What location shows people: how everything is, as a page and as JSON."""
