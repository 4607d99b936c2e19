"""From the values of a tensor to its range: pure functions, one file per idea."""
