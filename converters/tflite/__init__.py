"""The TFLite flatbuffer, written directly from a graph."""
