"""The parts of the road through onnx2tf: its environment, its process, and the checks of what it made."""
