"""The package ``warren_backend`` as it is published: built into a wheel, installed where nothing of the repository is,
and used there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from warren import __version__

SOURCE = Path(__file__).parents[2] / "clients" / "backend_python"
PROGRAM = """
import asyncio, importlib.metadata, pathlib, warren_backend
from warren_backend.testing import Recording

backend = warren_backend.Backend("amqp://nobody.example/%2F")

@backend.service("double")
async def double(request):
    return 2 * request.payload

async def main():
    async with Recording(backend) as warren:
        await backend.notify("room.a", 1)
        print(len(warren.notifications), await warren.ask("double", 21))

asyncio.run(main())
print(importlib.metadata.version("warren-backend"), pathlib.Path(warren_backend.__file__).parents[1])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(SOURCE)], check=True, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


def test_it_holds_the_package_its_types_and_what_it_needs(wheel: Path) -> None:
    """And nothing of the services."""
    assert wheel.name == f"warren_backend-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        said = Parser().parsestr(archive.read(metadata).decode())
    assert "warren_backend/py.typed" in names
    assert {name.split("/")[0] for name in names} == {
        "warren_backend",
        f"warren_backend-{__version__}.dist-info",
    }
    sources = {path.relative_to(SOURCE / "src").as_posix() for path in (SOURCE / "src").rglob("*.py")}
    assert sources <= set(names)
    needs = [each for each in said.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert [each.split(">=")[0] for each in needs] == ["aio-pika", "aiormq", "pamqp", "yarl"]
    assert said["Requires-Python"] == ">=3.11"
    assert "# Warren for backends in Python" in str(said.get_payload())


def test_it_can_be_installed_and_used_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """The import is that of the wheel."""
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, cwd=tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["1 42", f"{__version__} {target}"]
