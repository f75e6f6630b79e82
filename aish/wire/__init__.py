"""What client, daemon and gateway say to each other: message types, the version, framing, keys."""
