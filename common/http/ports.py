"""Finds the process that listens on a TCP port of this machine, on Linux (proc(5): /proc/net/tcp, /proc/PID/fd)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LISTENING: Final = "0A"
_WORDS: Final = 3
"""How many words of a command line are shown: they name the program, and the rest may be secret."""


def holder_of(port: int, *, proc: Path = _PROC) -> str:
    """Return the process that listens on a port, such as `process 12 (python -m services.connector)`.

    Empty if it cannot be found: on other systems, and for processes of other users.
    """
    inodes = {f"socket:[{inode}]" for inode in _listening(proc, port)}
    if not inodes:
        return ""
    for process in proc.glob("[0-9]*"):
        if inodes.intersection(_open_files(process)):
            return f"process {process.name} ({_name(process)})"
    return ""


def _listening(proc: Path, port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on a port."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTENING and fields[1].endswith(f":{port:04X}"):
                yield fields[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        for descriptor in (process / "fd").iterdir():
            yield str(descriptor.readlink())
    except OSError:  # the process has ended, or belongs to another user
        return


def _name(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        return " ".join(filter(None, [Path(words[0]).name, *words[1:_WORDS]])) or "no command line"
    except OSError:
        return "it has ended"
