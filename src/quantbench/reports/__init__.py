"""What is written from results: cards, tables and pictures. Needs no model library."""
