"""The command tree; every verb but ``agent`` is a client like any other."""
