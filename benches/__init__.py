"""Measurements, each beside its peers in one run. A package of the checkout, never installed."""
