"""What runs between the holder and a sandboxed program: stdlib only, started by its path with `python -I -S`."""
