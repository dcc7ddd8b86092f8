"""What is found in an image's files."""

import dataclasses

import pytest

from bellwether.images import catalogue, contents

LOCKED = (
    "mlserver==1.7.1 ; sys_platform == 'linux' \\\n    --hash=sha256:aa\nfeast[redis]==0.63.0\n"
)
IMAGE = dataclasses.replace(catalogue.named(["router"])[0], megabytes=1)
SITE = "opt/bellwether/environment/lib/python3.11/site-packages"


def _write(root, path, text=""):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def root(tmp_path):
    """An image that is as it has to be."""
    for name, version in {"mlserver": "1.7.1", "Feast": "0.63.0"}.items():
        _write(
            tmp_path, f"{SITE}/{name}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n\nx"
        )
    for name in ("contract", "router"):
        code = f"opt/bellwether/code/runtimes/{name}"
        _write(tmp_path, f"{code}/__init__.py")
        _write(tmp_path, f"{code}/__pycache__/__init__.cpython-311.pyc")
    _write(
        tmp_path,
        "var/lib/dpkg/status",
        "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
    )
    return tmp_path


def _problems(root):
    return contents.read(root, IMAGE, LOCKED).problems


def test_an_image_that_is_in_order_has_no_problem_and_tells_its_packages(root):
    found = contents.read(root, IMAGE, LOCKED)
    assert found.problems == ()
    assert found.python == {"mlserver": "1.7.1", "feast": "0.63.0"}
    assert found.debian == {"libc6": "2.36-9"}


def test_a_file_too_much_breaks_the_budget(root):
    _write(root, "opt/big", "x" * 1_100_000)
    (problem,) = _problems(root)
    assert "1 MB, its budget is 1 MB" in problem


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("usr/bin/gcc-12", "", "gcc-12 is there"),
        ("opt/bellwether/environment/bin/uv", "", "bin/uv is there"),
        ("usr/lib/python3/dist-packages/pip/__init__.py", "", "pip is there"),
        (f"{SITE}/torch.dist-info/METADATA", "Name: torch\nVersion: 2\n", "torch is 2, uv.lock has none"),
        (f"{SITE}/Feast.dist-info/METADATA", "Name: feast\nVersion: 0.64\n", "feast is 0.64"),
        ("opt/bellwether/code/runtimes/router/bare.py", "", "1 of 3 files"),
        ("opt/bellwether/code/runtimes/guard/x", "", "its code is of contract, guard, router"),
    ],
)  # fmt: skip
def test_what_must_not_be_there_is_named(root, path, text, said):
    _write(root, path, text)
    assert any(said in problem for problem in _problems(root)), _problems(root)


def test_a_package_that_is_not_there_is_named(root):
    (root / SITE / "mlserver.dist-info" / "METADATA").unlink()
    assert _problems(root) == ("mlserver is not there, uv.lock has 1.7.1",)


def test_a_file_that_everybody_may_write_is_named(root):
    path = root / "opt/bellwether/code/runtimes/router/__init__.py"
    path.chmod(0o666)
    assert _problems(root) == (f"everybody may write /{path.relative_to(root)}",)
