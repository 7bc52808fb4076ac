//! Arbitrary text as a `traceparent`: it is refused, or read as it is written, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recoup::http::TraceParent;

fuzz_target!(|text: &str| {
    let Ok(parent) = text.parse::<TraceParent>() else { return };
    assert!(parent.trace_id() != 0 && parent.parent_id() != 0);
    let written = parent.to_string();
    assert_eq!(written.len(), 55);
    assert_eq!(written[3..52], text[3..52]);
    assert_eq!(written.parse(), Ok(parent));
    let child = parent.child();
    assert_eq!((child.trace_id(), child.is_sampled()), (parent.trace_id(), parent.is_sampled()));
});
