"""From a checkpoint or an ONNX file to the files that devices run."""
