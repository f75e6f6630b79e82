"""The live view: `frame` (view to styled lines) is pure; `terminal` and `feed` are its edges. Import the modules."""
