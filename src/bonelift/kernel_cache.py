"""Where numba keeps its compiled kernels when neither the package nor the home can be written.

A container with a read-only root, a module on a cluster or a service account has neither, and numba then ends the
program. This module imports next to nothing: it runs whenever the package is imported, before numba is.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def provide_cache_place() -> None:
    """Name a folder of this user in the temporary folder where numba would find no other."""
    if VARIABLE in os.environ or _writable(Path(__file__).parent / "drr" / "__pycache__"):
        return
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    if _writable(Path(home) / "numba"):
        return
    os.environ[VARIABLE] = str(_own_folder())


def _writable(folder: Path) -> bool:
    """Whether a file can be written into the folder, which may be made for it."""
    try:
        while not folder.exists():
            if folder == folder.parent:
                return False
            folder = folder.parent
        return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _own_folder() -> Path:
    """A folder that nobody else can write: what lies in it is run."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    place = Path(tempfile.gettempdir()) / f"bonelift-kernels-{user}"
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        status = place.lstat()
        if stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == os.getuid()):
            if os.name == "posix" and status.st_mode & 0o077:
                place.chmod(0o700)
            return place
        return Path(tempfile.mkdtemp(prefix="bonelift-kernels-"))
    except OSError:
        return place
