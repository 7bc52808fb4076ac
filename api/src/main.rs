//! Prints the public API that a file of rustdoc JSON tells of, one item a line. For `.ci/api`.

use std::process::ExitCode;

/// What the compiler keeps for itself: no program can name these, and each release may add some.
const NOT_ANYBODYS: [&str; 2] = ["core::marker::Freeze for ", "core::marker::UnsafeUnpin for "];

fn main() -> ExitCode {
    let Some(json) = std::env::args_os().nth(1) else {
        eprintln!("recoup-api <file of rustdoc JSON>");
        return ExitCode::from(2);
    };
    // Blanket implementations are the standard library's. Auto traits stay: losing `Send` breaks a user.
    let api = public_api::Builder::from_rustdoc_json(json).omit_blanket_impls(true).build();
    let api = match api {
        Ok(api) => api,
        Err(error) => {
            eprintln!("recoup-api: {error}");
            return ExitCode::FAILURE;
        }
    };
    for item in api.items() {
        let line = item.to_string();
        let tells = NOT_ANYBODYS.iter().all(|name| !line.contains(name));
        if tells {
            println!("{line}");
        }
    }
    ExitCode::SUCCESS
}
