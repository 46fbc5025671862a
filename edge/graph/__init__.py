"""One frozen in-memory model and its readers: how every part of the product looks into a model file."""
