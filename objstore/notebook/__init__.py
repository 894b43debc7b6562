"""What a notebook shows: records as small tables, objects by their media types, ``%objstore``.

Imported at the first look at something: whoever uses no notebook loads none of it.
"""
