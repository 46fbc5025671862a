"""Where frames come from: one module per kind of source, and the table that opens what a text names."""
