"""Values and rules: no socket, no loop, no clock, no randomness; time and seeds are handed in.

Imports nothing but the standard library and msgspec; an import contract checks it.
"""
