//! Compiles the protocol with a Rust protobuf compiler, so that no `protoc` need be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/busyhour.proto");
    let files = protox::compile(["proto/busyhour.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // These carry secrets: their Debug is written by hand in `src/secret.rs`.
        .skip_debug([".busyhour.v1.Hello", ".busyhour.v1.Account", ".busyhour.v1.Trunk"])
        .skip_debug([".busyhour.v1.InboundTrunk"])
        // And these carry what people write to each other.
        .skip_debug([".busyhour.v1.Parameter", ".busyhour.v1.Reply"])
        .compile_fds(files)?;
    Ok(())
}
