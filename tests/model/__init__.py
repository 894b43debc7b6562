"""Tests of names, records and options."""
