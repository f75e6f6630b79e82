"""One command over many items, so many at a time: what `aish map` does. Each run is a supervised process."""
