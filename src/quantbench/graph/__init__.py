"""Looking at ONNX graphs: semantic patterns, digests, what happened to which nodes."""
