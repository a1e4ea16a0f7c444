"""Tests; this is imported before all of them, and before torch."""

import os

# Several processes share the cores: a thread of torch that waits in a loop takes one from another.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
