"""Stage 5: the readers: Python clients that poll the feed and call handlers."""
