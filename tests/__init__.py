"""Tests; this is imported before all of them, and before torch."""

import os

# Several processes share the cores: a thread of torch that waits in a loop takes one from another.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:  # there are as many processes as cores, or more
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Ray gives its processes the lowest priority, so that beside other work they would wait for ever.
os.environ.setdefault("RAY_worker_niceness", "0")
