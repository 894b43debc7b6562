"""Tests of reading objects."""
