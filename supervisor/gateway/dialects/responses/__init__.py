"""OpenAI's Responses for servers that only know chats (platform.openai.com/docs/api-reference/responses)."""
