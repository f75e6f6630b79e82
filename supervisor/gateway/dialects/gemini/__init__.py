"""Gemini's generateContent (ai.google.dev/api/generate-content) for models whose servers speak other dialects."""
