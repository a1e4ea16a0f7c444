"""Starting Python processes that run a function of this package, and get no secret."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

ENVIRONMENT = frozenset(
    """DYLD_LIBRARY_PATH LANG LC_ALL LC_CTYPE LD_LIBRARY_PATH PATH PYTHONHOME RAYON_NUM_THREADS
    SYSTEMROOT TEMP TMP TMPDIR TOKENIZERS_PARALLELISM""".split()
)
"""Environment variables that a child gets; all others may hold secrets, such as API keys."""


def start_child(function: Callable[[], None], **options: Any) -> subprocess.Popen[Any]:
    """Run a function of a module in a new process, out of reach of terminal signals.

    Unlike `multiprocessing`, it neither forks nor imports the caller's main module.

    Args:
        function: what to run; it talks through standard input and output, which are pipes.
        options: further ones of `subprocess.Popen`.

    Raises:
        OSError: the process cannot be started.
    """
    environment = {name: os.environ[name] for name in ENVIRONMENT & os.environ.keys()}
    code = f"from {function.__module__} import {function.__name__} as run; run()"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
        **options,
    )
