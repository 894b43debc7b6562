"""The list of a user's documents, and their files."""

from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from documents.models import Document
from objstore.contrib.django import ObjectView


@login_required
def documents(request: HttpRequest) -> HttpResponse:
    """Show a user's documents."""
    mine = Document.objects.filter(owner=request.user)
    return render(request, "documents/list.html", {"documents": mine})


class DocumentFile(LoginRequiredMixin, ObjectView):
    """The file of a document, for its owner and the staff."""

    as_attachment = True

    def get_name(self, request: HttpRequest, **kwargs: int) -> str:
        """Return the file's name, for who may see it."""
        document = get_object_or_404(Document, pk=kwargs["pk"])
        if document.owner != request.user and not request.user.is_staff:
            raise PermissionDenied
        return document.file.name
