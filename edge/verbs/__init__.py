"""One thin module per verb of the command line: parse, call the library, print."""
