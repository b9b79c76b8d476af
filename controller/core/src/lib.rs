//! The replicated state machine: queues, channel ledger, workers, calls and batches
