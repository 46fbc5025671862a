"""Frame sources and the loop from a frame to an overlay."""
