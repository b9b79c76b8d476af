//! The messages between the controller and its agents, and the gRPC stream that carries them.

/// Version 1 of the protocol, generated from `proto/busyhour.proto`.
#[allow(missing_docs, clippy::doc_markdown)]
pub mod v1 {
    tonic::include_proto!("busyhour.v1");
}
