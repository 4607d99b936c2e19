"""What is derived from results: comparisons and recommendations. Pure."""
