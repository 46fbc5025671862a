"""What an operator is: its limits, padding and exact forms."""
