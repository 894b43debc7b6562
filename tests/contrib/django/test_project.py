"""examples/django_project under gunicorn with two workers, used as by somebody with a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

import objstore
from objstore import LocalServer
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.newest_server

PROJECT = Path(__file__).parents[3] / "examples" / "django_project"
UPLOAD = os.urandom(3 << 20)  # more than Django keeps in memory

HOOK = """
def when_ready(server):
    with open("port", "w") as file:
        file.write(str(server.LISTENERS[0].sock.getsockname()[1]))
"""

#: Those of the project, but for a hash of passwords that takes no time.
SETTINGS = """
from mysite.settings import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""

PREPARE = """
import django
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User

User.objects.create_superuser("anna", password="secret")
User.objects.create_user("otto", password="secret")
call_command("collectstatic", interactive=False)
"""


class Site:
    """The running project."""

    def __init__(self, folder: Path, url: str) -> None:
        self.environment = {
            **os.environ,
            "NATS_URL": url,
            "DATABASE": str(folder / "db.sqlite3"),
            "PYTHONPATH": os.pathsep.join(map(str, (folder, PROJECT, Path(__file__).parents[3]))),
            "DJANGO_SETTINGS_MODULE": "quick_settings",
        }
        (folder / "quick_settings.py").write_text(SETTINGS)
        self.folder = folder
        self.address = ""

    def prepare(self) -> str:
        """Make the database and two users, and collect the static files, in one process."""
        done = subprocess.run(
            [sys.executable, "-c", PREPARE],
            env=self.environment, text=True, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> subprocess.Popen[bytes]:
        """Start gunicorn."""
        (self.folder / "configured.py").write_text(HOOK)
        command = [
            sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-c", "configured.py",
            "-b", "127.0.0.1:0", "--log-file", "log", "mysite.wsgi",
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment)
        port = self.folder / "port"
        self.address = f"http://127.0.0.1:{eventually(lambda: port.exists() and port.read_text())}"
        return process


class Browser(requests.Session):
    """Follows links, keeps cookies, and fills in forms."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.trust_env = False
        self._site = site

    def see(self, path: str, status: int = 200, **options: object) -> requests.Response:
        """Open a page."""
        got = self.get(urljoin(self._site.address, path), timeout=PATIENCE, **options)  # type: ignore[arg-type]
        assert got.status_code == status, got.text
        return got

    def fill_in(self, path: str, fields: dict[str, str], **options: object) -> requests.Response:
        """Fill in the form of a page, and send it."""
        page = self.see(path)
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert found
        fields = {"csrfmiddlewaretoken": found[1], **fields}
        headers = {"Referer": page.url}
        got = self.post(page.url, fields, headers=headers, timeout=PATIENCE, **options)  # type: ignore[arg-type]
        assert got.status_code == 200
        assert "errornote" not in got.text, got.text
        return got

    def log_in(self, name: str) -> None:
        """Log in."""
        got = self.fill_in("/login/", {"username": name, "password": "secret"})
        assert got.url == f"{self._site.address}/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, server: LocalServer) -> Iterator[Site]:
    """The project, with a user each of the staff and of the public."""
    site = Site(tmp_path_factory.mktemp("site"), server.url)
    assert "static files copied" in site.prepare()
    process = site.start()
    try:
        yield site
    finally:
        process.terminate()
        status = process.wait(PATIENCE)
        with objstore.connect(server.url) as client:
            client.delete_store("media")
            client.delete_store("static")
    log = (site.folder / "log").read_text()
    assert status == 0, log
    assert "Traceback" not in log, log


@pytest.fixture(scope="module")
def anna(site: Site) -> Browser:
    """The browser of the staff, who has uploaded a document."""
    anna = Browser(site)
    anna.log_in("anna")
    fields = {"title": "A report", "owner": "1"}
    upload = {"file": ("Jahresbericht für 2026.pdf", UPLOAD, "text/html")}
    anna.fill_in("/admin/documents/document/add/", fields, files=upload)
    return anna


def test_the_pages_have_their_styles(site: Site, anna: Browser) -> None:
    for page in ("/", "/admin/"):
        styles = re.findall(r'rel="stylesheet" href="([^"]+)"', anna.see(page).text)
        assert styles
        for style in styles:
            assert re.search(r"\.[0-9a-f]{12}\.css$", style)
            got = Browser(site).see(style)  # for who is not logged in, too
            assert got.headers["Content-Type"] == "text/css"
            assert got.headers["Cache-Control"] == "private, max-age=31536000"
    own = next(
        style for style in re.findall(r'href="([^"]+)"', anna.see("/").text) if "style" in style
    )
    paper = re.search(r'url\("(.+)"\)', anna.see(own).text)
    assert paper
    assert anna.see(urljoin(own, paper[1])).headers["Content-Type"] == "image/svg+xml"
    anna.see("/static/../media/x", 404)


def test_what_was_uploaded_is_an_object(server: LocalServer, anna: Browser) -> None:
    with objstore.connect(server.url) as client:
        (info,) = client.object_store("media").list()
    assert re.fullmatch(r"documents/\d{4}/Jahresbericht_für_2026\.pdf", info.name)
    assert (info.size, info.mime) == (len(UPLOAD), "application/pdf")


def test_the_admin_links_to_it(site: Site, anna: Browser) -> None:
    page = anna.see("/admin/documents/document/1/change/").text
    found = re.search(r'Currently: <a href="([^"]+)"', page)
    assert found
    link = unescape(found[1])
    stranger = Browser(site)  # a link is good for whoever has it
    got = stranger.see(link)
    assert got.content == UPLOAD
    assert got.headers["Content-Type"] == "application/pdf"
    part = stranger.see(link, 206, headers={"Range": "bytes=1000000-1999999"})
    assert part.content == UPLOAD[1_000_000:2_000_000]
    assert stranger.see(link, 304, headers={"If-None-Match": got.headers["ETag"]}).content == b""
    stranger.see(link.replace("Jahres", "Monats"), 403)


def test_a_private_file(site: Site, anna: Browser) -> None:
    found = re.search(r'<li><a href="([^"]+)">A report', anna.see("/").text)
    assert found
    got = anna.see(found[1])
    assert got.content == UPLOAD
    assert "filename*=UTF-8''Jahresbericht_f%C3%BCr_2026.pdf" in got.headers["Content-Disposition"]
    otto = Browser(site)
    assert "/login/" in otto.see(found[1]).url
    otto.log_in("otto")
    otto.see(found[1], 403)
    assert "No documents yet" in otto.see("/").text


def test_uploads_of_the_same_name(anna: Browser, server: LocalServer) -> None:
    upload = {"file": ("Jahresbericht für 2026.pdf", b"another", "application/pdf")}
    anna.fill_in("/admin/documents/document/add/", {"title": "Next", "owner": "1"}, files=upload)
    with objstore.connect(server.url) as client:
        assert sorted(info.size for info in client.object_store("media").list()) == [7, len(UPLOAD)]
