"""`edge doctor`: a named list of diseases that quantization does not forgive, each judged by measured evidence."""
