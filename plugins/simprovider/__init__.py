"""A simulated provider of models, for tests and for trying what happens when a real one misbehaves.

It speaks OpenAI's dialect and Anthropic's. A request's last words are its script: what is answered, and which of the
faults in `aish.plugins.simprovider.faults` befalls the answer. The gateway cannot tell it from a real provider.
"""
