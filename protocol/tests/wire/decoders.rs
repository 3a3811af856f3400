//! Every decoder against bytes that nobody has written.
