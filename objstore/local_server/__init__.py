"""A nats-server of one's own: the process, its configuration, its end."""
