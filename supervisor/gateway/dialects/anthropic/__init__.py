"""Anthropic's Messages (platform.claude.com/docs/en/api/messages) for models whose servers speak OpenAI's dialect."""
