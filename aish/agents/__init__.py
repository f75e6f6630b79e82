"""Agents: what a file says one is, where files are found, and the program that runs one."""
