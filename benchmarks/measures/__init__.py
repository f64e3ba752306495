"""What is measured, one module per part of the table; each yields figures."""
