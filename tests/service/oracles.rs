//! What scripts ask of the world and tell it: what they get, what the log keeps, and that nobody is asked twice.
//!
//! ```text
//! patterns   generated scripts that ask in every order there is, each executed again without a question
//! ```

mod patterns;
