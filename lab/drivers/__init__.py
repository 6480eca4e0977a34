"""Drivers: how a lab's processes are really started, stopped and struck, one module per world."""
