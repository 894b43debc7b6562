"""Tests of a bucket's face."""
