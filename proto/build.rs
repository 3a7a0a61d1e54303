//! Compiles the schemas without `protoc`: descriptors by protox, Rust types by prost.

use std::error::Error;
use std::path::PathBuf;

use protox::prost::Message;

const SCHEMAS: [&str; 4] = ["envelope.proto", "market.proto", "trading.proto", "chat.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=schemas");
    let descriptors = protox::compile(SCHEMAS, ["schemas"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("tapeflow.v1.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new().disable_comments(["."]).compile_fds(descriptors)?;
    Ok(())
}
