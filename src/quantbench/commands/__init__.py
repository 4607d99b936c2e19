"""What the commands do: read the config, call the sweep, print what came out."""
