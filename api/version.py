"""The version, alone so that building a package or showing it imports nothing else."""

__version__ = "0.1.0"
