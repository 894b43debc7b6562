"""URLs: the admin, the documents, and where files are served from."""

from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path
from documents.views import DocumentFile, documents

from objstore.contrib.django import ObjectView

STATIC = ObjectView.as_view(storage="staticfiles", max_age=365 * 86400, trusted=True)

urlpatterns = [
    path("", documents),
    path("login/", LoginView.as_view(template_name="documents/login.html"), name="login"),
    path("admin/", admin.site.urls),
    # Links that are signed and expire: what .url of a file is.
    path("files/", include("objstore.contrib.django.urls")),
    # Who may see a document is asked each time.
    path("documents/<int:pk>/", DocumentFile.as_view(), name="document"),
    # With DEBUG=1, "runserver" serves the apps' own files here before it comes to this.
    path("static/<path:name>", STATIC),
]
