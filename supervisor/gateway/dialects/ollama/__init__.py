"""Ollama's native dialect (docs.ollama.com/api), for its clients. Its servers are asked in OpenAI's, at /v1."""
