"""Stage 1: one file a source; each observes one part of a node and publishes events on that node."""
