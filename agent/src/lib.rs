//! The node agent process: SIP, media, speech and webhooks around the pure core
