"""Tests of writing objects."""
