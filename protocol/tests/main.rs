//! The formats against golden bytes; `fixtures/README.md` tells how.

mod format;
