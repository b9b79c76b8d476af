//! The durable, replicated log beneath the controller
