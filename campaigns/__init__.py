"""Does it hold? Long, random and hostile runs with a verdict: soak, faults, fuzz. How fast it is: `benchmarks/`."""
