"""How fast, on this machine: every figure beside the limit that was measured in the same run. `make bench`."""
