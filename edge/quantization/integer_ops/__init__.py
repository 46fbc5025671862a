"""Integer formulas of the operators, one family per file; docs/fidelity.md says how each was established."""
