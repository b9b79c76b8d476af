//! A test carrier with real SIP and RTP that keeps its own account
