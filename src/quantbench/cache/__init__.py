"""Looking after the store: what is in it, what is damaged, what may go."""
