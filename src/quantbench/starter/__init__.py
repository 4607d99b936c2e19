"""A first config for a model and a dataset: guessed from what they hold, every guess marked."""
