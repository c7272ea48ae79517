"""Stage 2: sends local events to all other nodes over the rails, and publishes theirs here."""
