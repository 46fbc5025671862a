"""The verdict for people and programs: rows, text, page."""
