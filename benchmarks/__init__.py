"""What the connector costs: time, requests, bytes, memory. Run with `python -m benchmarks`; see docs/performance.md."""
