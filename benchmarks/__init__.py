"""What docs/performance.md states, to be had again: ``make bench``."""
