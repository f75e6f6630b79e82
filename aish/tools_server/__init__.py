"""The supervisor as tools for models, over the Model Context Protocol: `aish mcp`. Never answers for the person."""
