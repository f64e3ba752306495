"""Runs `connector` as `python -m services.connector`."""

from services.connector.cli import main

main()
