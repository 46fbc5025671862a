"""The TFLite file itself: its schema, its tensors and operators."""
