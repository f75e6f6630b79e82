"""aish.toml: models, agents, services and schedules of a folder, and what is to be done about them."""
