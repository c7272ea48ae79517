"""Stage 3: what outlives a process: the buffer's log file, the journal."""
