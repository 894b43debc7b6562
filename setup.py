"""All metadata stands in setup.cfg; here is what it cannot say: what the source archive holds."""

from setuptools import setup
from setuptools.command.sdist import sdist

#: Beside the package: what it takes to run the tests, build the docs and repeat the benchmarks.
FOLDERS = ("benchmarks", "docs", "examples", "tests")
FILES = ("CHANGELOG.rst", "CONTRIBUTING.rst", "SECURITY.rst", "noxfile.py")


class SourceArchive(sdist):
    """The archive with all that is tracked, dotfiles excepted."""

    def make_distribution(self) -> None:
        """Add what setuptools does not look for; that is decided before, without a hook."""
        for folder in FOLDERS:
            self.filelist.graft(folder)
        self.filelist.extend(FILES)
        self.filelist.global_exclude("*.py[cod]")
        super().make_distribution()


setup(cmdclass={"sdist": SourceArchive})
