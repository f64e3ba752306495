"""The connector as it is installed: the locked packages and nothing else, which is what the image holds.

Development tools in the same environment would distort the figures: some libraries load more when they find more.
"""

import hashlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv" / "installed"
LOCK = ROOT / "requirements.lock"
_STAMP = FOLDER / "requirements.sha256"


def programs() -> Path:
    """Return the directory of the console entry points, installed from the checkout as it is now.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not _STAMP.exists() or _STAMP.read_text(encoding="utf-8") != wanted:
        venv.create(FOLDER, clear=True)
        _pip("--python", str(FOLDER), "install", "--require-hashes", "-r", str(LOCK))
        _STAMP.write_text(wanted, encoding="utf-8")
    with tempfile.TemporaryDirectory() as wheels:
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, str(ROOT))
        (wheel,) = Path(wheels).glob("*.whl")
        _pip("--python", str(FOLDER), "install", "--no-deps", "--force-reinstall", str(wheel))
    return FOLDER / "bin"


def _pip(*arguments: str) -> None:
    options = ("--disable-pip-version-check", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", *options, *arguments], check=True, stdout=sys.stderr)
