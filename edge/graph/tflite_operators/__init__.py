"""How each TFLite operator becomes a canonical one: one file per family, one table."""
