"""Tests of JetStream."""
