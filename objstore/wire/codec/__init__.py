"""Bytes and messages: no socket, thread, clock or randomness."""
