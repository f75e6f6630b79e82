"""Checkpoints of agents: how far one had come at the boundary of a turn, and the way back there."""
