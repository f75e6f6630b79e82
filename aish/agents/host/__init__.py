"""The leader of an agent's tree, where the agent is a program that others wrote: one turn of it, by its adapter."""
