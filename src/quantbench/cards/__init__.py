"""Published cards: reading their text back, whether or not its white space was collapsed."""
