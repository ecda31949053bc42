"""streamkit: the oscilloscope for streaming HTTP."""
