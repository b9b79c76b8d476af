//! Finished calls and batches in SQL, written through an outbox
