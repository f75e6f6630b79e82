"""Tool calls on servers that drop tools: offered as text, forced by a grammar, read back from what is written."""
