"""What an artifact says: manifest, thresholds, verdict, units, scheme, card."""
