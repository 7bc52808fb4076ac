//! Calls of HTTP: what may be sent twice, when to come back, and what counts as whose fault.
