//! The HTTP API: calls, batches, explain, metrics
