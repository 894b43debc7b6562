"""JetStream: its API, direct gets, ordered consumers."""
