"""Where a model's time goes: per-operator times, the roofline, reasons and changes."""
