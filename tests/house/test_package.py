"""What people install: the source distribution, the wheel from it, and both without this tree."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from build import ProjectBuilder
from build.env import DefaultIsolatedEnv
from pyproject_hooks import quiet_subprocess_runner

ROOT = Path(__file__).parents[2]
SOURCE = "src/deriva_watch"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel that is made from it alone."""
    folder = tmp_path_factory.mktemp("dist")
    with DefaultIsolatedEnv(installer="pip") as apart:

        def build(kind, source):
            builder = ProjectBuilder.from_isolated_env(apart, source, quiet_subprocess_runner)
            apart.install(builder.build_system_requires)
            return Path(builder.build(kind, folder))

        sdist = build("sdist", ROOT)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder / "unpacked", filter="data")
        (source,) = (folder / "unpacked").iterdir()
        return SimpleNamespace(sdist=source, wheel=build("wheel", source))


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A virtual environment with the wheel; run(*words) starts a program of it, far from here."""
    place = tmp_path_factory.mktemp("clean")
    venv = place / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    scheme = {"base": str(venv), "platbase": str(venv)}
    packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    (packages / "given.pth").write_text(sysconfig.get_path("purelib"))  # spares the downloads
    install = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install"]
    subprocess.run([*install, "--quiet", "--no-deps", built.wheel], check=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DERIVA_WATCH", "PYTHON"))}

    def run(program, *words):
        return subprocess.run(
            [venv / "bin" / program, *words],
            cwd=place, env=clean, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return SimpleNamespace(place=place, venv=venv, run=run)


def tracked(folder):
    """Return the files of this project below a folder, by their paths in it."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", folder]
    told = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {str(Path(name).relative_to(folder)) for name in told.split("\0") if name}


def test_the_wheel_has_every_file_of_the_package_and_no_tests(built):
    names = zipfile.ZipFile(built.wheel).namelist()

    ours = {
        each.removeprefix("deriva_watch/") for each in names if each.startswith("deriva_watch/")
    }
    assert tracked(SOURCE) | {"config.example.toml"} <= ours
    assert not any(name.startswith(("tests/", "src/")) for name in names)


def test_the_source_distribution_has_what_a_developer_needs(built):
    for name in ("README.md", "LICENSE", "Makefile", "docs/conf.py", "tests/running.py"):
        assert (built.sdist / name).is_file()


def test_the_units_come_with_the_wheel(installed):
    units = {path.name for path in (installed.venv / "share/deriva-watch/systemd").iterdir()}

    assert units == tracked("systemd")


@pytest.mark.parametrize("way", [("deriva-watch",), ("python", "-m", "deriva_watch")])
def test_it_starts_by_its_name_and_as_a_module(installed, way):
    told = installed.run(*way, "--version")

    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("deriva-watch ")


def test_what_was_installed_is_what_runs(installed):
    code = "import deriva_watch; print(deriva_watch.__file__)"

    assert str(installed.venv) in installed.run("python", "-c", code).stdout


@pytest.mark.skipif("SOAK" not in os.environ, reason="downloads all packages")
def test_it_needs_nothing_that_it_does_not_name(built, tmp_path):
    """The demo is at work in an environment that got nothing but the wheel and what it asks for."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", built.wheel], check=True)

    told = subprocess.run(
        [python, "-m", "deriva_watch", "demo", "--json"], cwd=tmp_path, check=False
    )

    assert told.returncode == 0


@pytest.mark.skipif("SOAK" not in os.environ, reason="downloads all packages")
def test_pipx_installs_it(tmp_path):
    """`pipx install .` gives the command."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "pipx"], check=True)
    places = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DERIVA_WATCH", "PYTHON"))}

    subprocess.run([python, "-m", "pipx", "install", "."], cwd=ROOT, env=clean | places, check=True)

    command = [tmp_path / "bin" / "deriva-watch", "--version"]
    assert subprocess.run(command, cwd=tmp_path, env=clean, check=False).returncode == 0
