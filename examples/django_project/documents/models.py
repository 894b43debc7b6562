"""A document: a file with a title and an owner."""

from django.conf import settings
from django.db import models


class Document(models.Model):
    """A file that its owner and the staff may see."""

    title = models.CharField(max_length=100)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    file = models.FileField(upload_to="documents/%Y")

    def __str__(self) -> str:
        return self.title
