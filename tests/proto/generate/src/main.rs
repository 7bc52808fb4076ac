//! Makes `tests/proto/echo.v1.rs` from `tests/proto/echo.proto`, without protoc.

use std::error::Error;
use std::fs;
use std::path::Path;

const HEAD: &str = "\
// Made from echo.proto; not written by hand. To make it anew, without protoc:
//     cargo run --manifest-path tests/proto/generate/Cargo.toml
";

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("it lies in tests/proto")?;
    let read = protox::compile([here.join("echo.proto")], [here])?;
    tonic_prost_build::configure().out_dir(here).compile_fds(read)?;
    let made = here.join("echo.v1.rs");
    let code = fs::read_to_string(&made)?;
    fs::write(&made, format!("{HEAD}{code}"))?;
    Ok(())
}
