"""Chaos: processes come, are paused, limited and stopped while their supervisors are killed. `./dev soak`."""
