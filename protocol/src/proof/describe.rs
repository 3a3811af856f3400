//! Words for people about what strangers wrote.

use crate::entry::{Call, Entry};

/// Characters of a stranger's text that are shown.
const CHARACTERS: usize = 200;

/// Quotes a text: it may hold any characters, a terminal must not obey them, and it must not end its quotation.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(CHARACTERS).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", shown.escape_debug().to_string().replace('`', r"\u{60}"))
}

/// Describes a block.
pub(super) fn entry(block: &[u8]) -> String {
    match Entry::decode(block) {
        Ok(Entry::Init(init)) => {
            format!("the deployment of {} at {}", quoted(&init.title), time(init.at))
        }
        Ok(Entry::Call(entry)) => call(&entry.call),
        Ok(Entry::Epoch(_)) => "an epoch".into(),
        Ok(Entry::Upgrade(_)) => "an upgrade".into(),
        Err(error) => format!("{} bytes that are no entry ({})", block.len(), escaped(&error.to_string())),
    }
}

/// Describes a logged call.
fn call(call: &Call) -> String {
    format!(
        "a call of {} by {} at {}",
        quoted(&call.method_name),
        caller(call.user_id.as_deref()),
        time(call.at)
    )
}

/// Describes a caller.
pub(super) fn caller(user_id: Option<&str>) -> String {
    user_id.map_or("nobody".into(), quoted)
}

/// Describes a time in an entry.
fn time(at: u64) -> String {
    format!("{at} ms since 1970")
}

/// Escapes a message that may quote strangers.
pub(super) fn escaped(text: &str) -> String {
    text.chars().take(CHARACTERS).collect::<String>().escape_debug().to_string()
}

/// Describes a number of things.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
