"""The version: read by the build, by `--version`, and by the User-Agent of what we send."""

__version__ = "0.1.0"
