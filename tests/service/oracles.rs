//! What scripts ask of the world and tell it: what they get, what the log keeps, and that nobody is asked twice.
//!
//! ```text
//! patterns   generated scripts that ask in every order there is, each executed again without a question
//! programs   programs as oracles, good ones and bad ones
//! servers    what is fetched, from good servers and bad ones
//! ```

mod patterns;
#[cfg(target_os = "linux")]
mod programs;
mod servers;
