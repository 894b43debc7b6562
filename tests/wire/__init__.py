"""Tests of the wire: protocol, logins, connection, JetStream."""
