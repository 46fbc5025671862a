"""Float formulas of the operators, for float graphs of any origin."""
