"""The report: many records as one page, one table, one list."""
