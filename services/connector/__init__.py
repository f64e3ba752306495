"""The command line that joins the three services in one process."""
