"""How each of PyTorch's exporters is called, one per file."""
