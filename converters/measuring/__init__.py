"""Files that are made to be measured."""
