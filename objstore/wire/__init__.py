"""NATS itself: the protocol, the connection, JetStream. Nothing here knows of objects."""
