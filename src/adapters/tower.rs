//! A recovery around any service of the tower kind.
