"""Measurements against a local nats-server: ``python -m benchmarks``."""
