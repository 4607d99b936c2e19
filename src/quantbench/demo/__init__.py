"""The bundled demonstration: two sweeps over small trained models that come with the package."""
