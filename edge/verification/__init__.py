"""`edge verify`: an artifact against its parent, operator by operator, and the verdict."""
