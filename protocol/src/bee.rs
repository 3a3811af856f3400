//! bee
