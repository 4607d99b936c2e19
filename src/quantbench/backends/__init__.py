"""Where work is done. Backends differ only in transport and placement."""
