"""The three services and the command line that joins them."""
