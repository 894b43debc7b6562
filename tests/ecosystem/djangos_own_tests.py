"""Django's own tests of storages and of static files, run on ours.

They are not part of Django's wheel; ``test_django.py`` fetches its source archive and runs this
in a process of its own: ``python djangos_own_tests.py FOLDER NATS_URL``. The storages on the disk
that the tests name are replaced by those in a bucket, before the tests are imported; what a test
does with files on the disk itself is what does not fit, and is listed with the reason. Whatever of
these passes is an unexpected success, and fails the run.
"""

from __future__ import annotations

import os
import sys
import unittest
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test.runner import DiscoverRunner
from django.test.utils import iter_test_cases

FOLDER, URL = Path(sys.argv[1]), sys.argv[2]
BUCKET = "djangos-own"

#: Why a test does not fit, and all that are left out for it: by their method, or a class of them.
LEFT_OUT = {
    "it looks for the file on the disk, puts it there, or asks for its path": (
        "test_all_files_more_verbose",
        "test_clear_empties_manifest",
        "test_dir_not_exists",
        "test_directory_with_dot",
        "test_file_get_created_time",
        "test_file_get_modified_time",
        "test_file_methods_pathlib_path",
        "test_file_object",
        "test_file_path",
        "test_file_save_broken_symlink",
        "test_file_save_without_name",
        "test_file_storage_preserves_filename_case",
        "test_first_character_dot",
        "test_intermediate_files",
        "test_location_empty",
        "test_manifest_exists",
        "test_race_condition",
        "test_read_manifest",
        "test_save_manifest_create",
        "test_save_overwrite_behavior_temp_file",
        "test_skips_newer_files_in_remote_storage",
    ),
    "there are no folders but in names": (
        "test_delete_deletes_directories",
        "test_file_save_with_path",
        "test_listdir",
    ),
    "there are no modes, owners and flags of files, nor links among them": (
        "FileStoragePermissions",
        "OverwritingStorageOSOpenFlagsTests",
        "OverwritingStorageOSOpenFlagsWarningTests",
        "TestCollectionLinks",
        "TestStaticFilePermissions",
        "test_makedirs_race_handling",
        "test_manifest_does_not_ignore_permission_error",
        "test_remove_race_handling",
    ),
    "nobody records who reads": (
        "test_file_get_accessed_time",
        "test_file_get_accessed_time_timezone",
    ),
    "the location and base_url are said in STORAGES, and are no settings": (
        "test_base_url",
        "test_callable_storage_file_field_in_model",
        "test_empty_location",
        "test_setting_changed",
    ),
    "it is about Django's own class: its name, or what collectstatic says of the disk alone": (
        "FileSystemStorageTests.test_deconstruction",
        "test_local_storage_detection_helper",
        "test_no_warning_for_empty_staticdir",
        "test_no_warning_when_staticdir_does_not_exist",
        "test_verbosity_1",
        "test_verbosity_2",
    ),
}

#: Two of them pass, and fail when they clean up: they have removed a folder on the disk.
REMOVES_ITS_FOLDER = ("test_dir_not_exists", "test_no_warning_when_staticdir_does_not_exist")


def main() -> int:
    """Run the tests; return how many failed."""
    sys.path[:0] = [str(FOLDER / "tests")]
    settings.configure(
        SECRET_KEY="a key for tests",
        INSTALLED_APPS=[
            "objstore.contrib.django",
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.staticfiles",
            "file_storage",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        ROOT_URLCONF="staticfiles_tests.urls.default",
        ALLOWED_HOSTS=["testserver"],
        STATIC_URL="static/",
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
        USE_TZ=False,
        TIME_ZONE="America/Chicago",
    )
    _replace_storages()
    runner = DiscoverRunner(verbosity=1, interactive=False)
    suite = runner.build_suite(
        [
            "file_storage.tests",
            "file_storage.test_generate_filename",
            "staticfiles_tests.test_storage",
            "staticfiles_tests.test_management",
        ]
    )
    _leave_out(suite)
    old = runner.setup_databases()
    try:
        result = runner.run_suite(suite)
    finally:
        runner.teardown_databases(old)
    return len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)


def _leave_out(suite: unittest.TestSuite) -> None:
    """Skip the classes that do not fit, and expect the methods that do not to fail."""
    names = {name for names in LEFT_OUT.values() for name in names}
    for test in iter_test_cases(suite):
        *_, kind, method = test.id().split(".")
        if kind in names or method in REMOVES_ITS_FOLDER:
            setattr(test, method, unittest.skip("it does not fit")(getattr(test, method)))
        elif method in names or f"{kind}.{method}" in names:
            unittest.expectedFailure(test)


def _replace_storages() -> None:
    """Put storages in a bucket where the tests look for those on the disk."""
    import django.contrib.staticfiles.finders
    import django.contrib.staticfiles.management.commands.collectstatic
    import django.contrib.staticfiles.storage
    import django.core.files.storage

    from objstore.contrib.django import (
        ObjectManifestStaticStorage,
        ObjectStaticStorage,
        ObjectStorage,
    )

    class Media(ObjectStorage):
        """In the bucket's folder that is called as the one on the disk."""

        OS_OPEN_FLAGS = os.O_EXCL

        def __init__(
            self, location: Any = None, base_url: Any = None, allow_overwrite: bool = False
        ) -> None:
            location = settings.MEDIA_ROOT if location is None else location
            base_url = settings.MEDIA_URL if base_url is None else base_url
            super().__init__(BUCKET, URL, str(location).strip("/"), base_url, allow_overwrite)

    class Static(ObjectStaticStorage):
        """The same, for static files."""

        def __init__(self, location: Any = None, base_url: Any = None) -> None:
            location = settings.STATIC_ROOT if location is None else location
            super().__init__(BUCKET, URL, str(location).strip("/"), base_url)

    class Manifest(ObjectManifestStaticStorage):
        """The same, with hashed names."""

        def __init__(self, location: Any = None, base_url: Any = None, **options: Any) -> None:
            location = settings.STATIC_ROOT if location is None else location
            super().__init__(BUCKET, URL, str(location).strip("/"), base_url, **options)

    django.core.files.storage.FileSystemStorage = Media
    django.contrib.staticfiles.storage.StaticFilesStorage = Static
    django.contrib.staticfiles.storage.ManifestStaticFilesStorage = Manifest

    django.setup()
    _adapt(Static)


def _adapt(static: Any) -> None:
    """Have the tests look into the bucket where they look on the disk by a method of their own."""
    settings_of_tests = import_module("staticfiles_tests.settings").TEST_SETTINGS
    settings_of_tests["INSTALLED_APPS"].insert(0, "objstore.contrib.django")

    def get_file(self: Any, path: str) -> str:
        assert path, "filepath is empty."
        with static().open(path) as file:
            return str(file.read(), "utf-8")

    import_module("staticfiles_tests.cases").CollectionTestCase._get_file = get_file
    file_tests = import_module("file_storage.tests")
    # It asks the disk, folder by folder upward from the storage's location.
    tests = file_tests.FileFieldStorageTests
    tests._storage_max_filename_length = lambda *_: 255
    # As the folder on the disk that it removes.
    tests.tearDown = lambda _: file_tests.temp_storage.store.delete_prefix("")


if __name__ == "__main__":
    sys.exit(min(main(), 99))
