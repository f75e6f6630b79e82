"""What models may do with the supervisor, as tools of `aish mcp` and of the built-in agent. Knows no protocol."""
