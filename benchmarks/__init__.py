"""Side-by-side measurements; `benchmarks/README.md` holds what they found."""
