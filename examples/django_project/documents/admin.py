"""The admin: upload, and download by a link that expires."""

from django.contrib import admin

from documents.models import Document

admin.site.register(Document, list_display=("title", "owner", "file"))
