"""What plugins implement. A plugin is found by its entry point (group `aish.gpu` or `aish.model_server`).

Protocols are small; what a driver or server lacks is None in its answers, not an exception.
"""
