-- Prints what wrk measured as one line of JSON, after its own report.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"rate": %.1f, "errors": %d, "p50": %.7f, "p99": %.7f}\n',
    summary.requests / (summary.duration / 1e6),
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e6,
    latency:percentile(99) / 1e6))
end
