"""Known vulnerabilities of what requirements.lock pins: `make audit`.

Ends with status 1 when there are any; on a machine from which the vulnerability service cannot be asked it says so and
ends well.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"


def main() -> int:
    """Ask, print what was found, and return the status to end with."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes", "--disable-pip"]
    asked = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=False)  # noqa: S603
    try:
        dependencies = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = asked.stderr.strip().splitlines()[-1:] or ["no answer"]
        print(f"not audited, the vulnerability service cannot be asked: {reason[0]}")  # noqa: T201
        return 0
    found = [(each, fault) for each in dependencies for fault in each.get("vulns", [])]
    for each, fault in found:
        fixed = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"{each['name']} {each['version']}: {fault['id']}, fixed in {fixed}")  # noqa: T201
    print(f"{len(dependencies)} packages audited, {len(found)} known vulnerabilities")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
