"""Where else objects are of use: each module here stands on the public face alone.

None is imported before it is asked for, and each says which extra to install where the library that
it serves is missing.
"""
