"""Loading models and data: where they come from, what they hold, and which rows are used."""
