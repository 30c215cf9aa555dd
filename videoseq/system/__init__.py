"""The machine: cores, devices, child processes."""
