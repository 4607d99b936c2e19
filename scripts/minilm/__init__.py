"""How models are fine-tuned from MiniLM; see `minilm_docstrings.py` and `minilm_questions.py`."""
