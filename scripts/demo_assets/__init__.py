"""How the demo models and data are made; see `make_demo_assets.py`."""
