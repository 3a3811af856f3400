//! The comparison of a replayed outcome with the logged one: [`compare`]. It leaves nothing out: a deviation would hide there.

use super::violation::{Mismatch, Violation};
use crate::entry::{Effect, FilesChange, Outcome, Thrown};
use crate::value::Value;

/// Judges one call. Do not pass a logged `killed`: no replay can tell whether it is true.
///
/// # Errors
/// The first part of the logged outcome that differs from the replay.
pub fn compare(logged: &Outcome, replayed: &Outcome) -> Result<(), Violation> {
    let mismatch = |field| Mismatch { field, logged: describe(logged), replayed: describe(replayed) };
    match (logged, replayed) {
        _ if logged == replayed => Ok(()),
        (Outcome::Fault(_), _) => Err(Violation::FalseFault(mismatch("result.fault"))),
        (Outcome::Threw(ours), Outcome::Threw(theirs)) => {
            Err(Violation::WrongError(compare_thrown(ours, theirs)))
        }
        (Outcome::Threw(_), _) => Err(Violation::WrongError(mismatch("result.err"))),
        (
            Outcome::Returned { value, files },
            Outcome::Returned { value: replayed_value, files: replayed_files },
        ) if value == replayed_value => {
            Err(Violation::WrongFiles(compare_files(files.as_ref(), replayed_files.as_ref())))
        }
        (Outcome::Returned { .. }, _) => Err(Violation::WrongResult(mismatch("result.res"))),
    }
}

/// Judges the effects of one call.
///
/// # Errors
/// [`Violation::EffectOther`] with the first that differs.
pub fn compare_effects(logged: &[Effect], replayed: &[Effect]) -> Result<(), Violation> {
    let most = logged.len().max(replayed.len());
    let Some(at) = (0..most).find(|at| logged.get(*at) != replayed.get(*at)) else { return Ok(()) };
    let describe = |effect: Option<&Effect>| match effect {
        None => "none".to_owned(),
        Some(Effect { name, args }) => excerpt(&format!("`{name}` {}", Value::Array(args.clone()).to_json())),
    };
    let (logged, replayed) = (describe(logged.get(at)), describe(replayed.get(at)));
    Err(Violation::EffectOther(Mismatch { field: "effects", logged, replayed }))
}

fn compare_thrown(logged: &Thrown, replayed: &Thrown) -> Mismatch {
    type Part = fn(&Thrown) -> String;
    let parts: [(&'static str, Part); 4] = [
        ("result.err.name", |thrown| thrown.name.clone()),
        ("result.err.message", |thrown| thrown.message.clone()),
        ("result.err.code", |thrown| thrown.code.map_or("none".into(), |code| code.to_string())),
        ("result.err.details", |thrown| thrown.details.as_ref().map_or("none".into(), Value::to_json)),
    ];
    first_difference(&parts, logged, replayed)
}

/// Returns the first part in which the files of two results differ; files are absent if the call changed nothing.
pub fn compare_files(logged: Option<&FilesChange>, replayed: Option<&FilesChange>) -> Mismatch {
    type Part = fn(&Option<FilesChange>) -> String;
    fn text(part: Option<impl ToString>) -> String {
        part.map_or("none".into(), |part| part.to_string())
    }
    let parts: [(&'static str, Part); 6] = [
        ("result.files.version", |files| text(files.map(|files| files.head.version))),
        ("result.files.hash", |files| text(files.map(|files| files.head.hash))),
        ("result.files.blobs", |files| text(files.map(|files| files.head.blobs))),
        ("result.files.blobsHash", |files| text(files.map(|files| files.head.blobs_hash))),
        ("result.files.from.version", |files| {
            text(files.and_then(|files| files.from).map(|from| from.version))
        }),
        ("result.files.from.blobs", |files| text(files.and_then(|files| files.from).map(|from| from.blobs))),
    ];
    first_difference(&parts, &logged.copied(), &replayed.copied())
}

/// The parts of a compared value: their names in an entry, and their texts.
type Parts<T> = [(&'static str, fn(&T) -> String)];

/// Returns the first of `parts` in which `logged` and `replayed` differ.
fn first_difference<T>(parts: &Parts<T>, logged: &T, replayed: &T) -> Mismatch {
    let different = parts.iter().find(|(_, part)| part(logged) != part(replayed));
    let (field, part) = different.unwrap_or(&parts[0]);
    Mismatch { field, logged: excerpt(&part(logged)), replayed: excerpt(&part(replayed)) }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Returned { value: None, .. } => "undefined".into(),
        Outcome::Returned { value: Some(value), .. } => excerpt(&value.to_json()),
        Outcome::Threw(Thrown { name, message, .. }) => excerpt(&format!("{name}: {message}")),
        Outcome::Fault(fault) => format!("fault {}", fault.name()),
    }
}

/// Returns the beginning of a text: reports are for reading, and a megabyte is not read.
fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 200;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Fault, FilesHead, FilesLengths};
    use libvms_hypercore::blocks::Length;
    use libvms_hypercore::tree::TreeHash;

    fn returned(number: i64, version: Option<u64>) -> Outcome {
        changed(number, version.map(|version| (version, None)))
    }

    /// Returns an outcome with the files' version after the call, and their lengths before it.
    fn changed(number: i64, files: Option<(u64, Option<(u64, u64)>)>) -> Outcome {
        let files = files.map(|(version, from)| FilesChange {
            head: FilesHead {
                version: Length(version),
                hash: TreeHash([1; 32]),
                blobs: Length(0),
                blobs_hash: TreeHash([2; 32]),
            },
            from: from
                .map(|(version, blobs)| FilesLengths { version: Length(version), blobs: Length(blobs) }),
        });
        Outcome::Returned { value: Some(Value::Integer(number)), files }
    }

    fn threw(name: &str, message: &str) -> Outcome {
        Outcome::Threw(Thrown::new(name, message))
    }

    fn threw_with(code: Option<i64>, details: Option<Value>) -> Outcome {
        Outcome::Threw(Thrown { code, details, ..Thrown::new("E", "m") })
    }

    fn changed_from(version: u64, blobs: u64) -> Outcome {
        changed(1, Some((9, Some((version, blobs)))))
    }

    #[test]
    fn each_difference_has_its_class_and_field() {
        let cases = [
            (returned(1, None), returned(2, None), "wrong-result", "result.res"),
            (returned(1, None), threw("E", "m"), "wrong-result", "result.res"),
            (returned(1, None), Outcome::Fault(Fault::Fuel), "wrong-result", "result.res"),
            (returned(1, Some(2)), returned(1, Some(3)), "wrong-files", "result.files.version"),
            (returned(1, None), returned(1, Some(3)), "wrong-files", "result.files.version"),
            (threw("E", "m"), threw("F", "m"), "wrong-error", "result.err.name"),
            (threw("E", "m"), threw("E", "n"), "wrong-error", "result.err.message"),
            (threw("E", "m"), returned(1, None), "wrong-error", "result.err"),
            (threw_with(Some(1), None), threw_with(Some(2), None), "wrong-error", "result.err.code"),
            (threw_with(Some(1), None), threw("E", "m"), "wrong-error", "result.err.code"),
            (threw("E", "m"), threw_with(Some(1), None), "wrong-error", "result.err.code"),
            (threw_with(None, Some(Value::Null)), threw("E", "m"), "wrong-error", "result.err.details"),
            (
                threw_with(Some(1), Some(Value::Bool(true))),
                threw_with(Some(1), Some(Value::Bool(false))),
                "wrong-error",
                "result.err.details",
            ),
            (changed_from(1, 0), changed_from(2, 0), "wrong-files", "result.files.from.version"),
            (changed_from(1, 0), changed_from(1, 1), "wrong-files", "result.files.from.blobs"),
            (changed_from(1, 0), returned(1, Some(9)), "wrong-files", "result.files.from.version"),
            (Outcome::Fault(Fault::Fuel), returned(1, None), "false-fault", "result.fault"),
            (Outcome::Fault(Fault::Fuel), Outcome::Fault(Fault::Output), "false-fault", "result.fault"),
        ];
        for (logged, replayed, class, field) in cases {
            let violation = compare(&logged, &replayed).expect_err("they differ");
            assert_eq!((violation.class(), violation.field()), (class, field), "{logged:?} {replayed:?}");
            assert!(violation.to_string().starts_with(field), "{violation}");
            assert_eq!(compare(&logged, &logged), Ok(()));
        }
    }

    #[test]
    fn effects_are_the_same_in_the_same_order() {
        let effect = |number| Effect { name: "log".into(), args: vec![Value::Integer(number)] };
        let (one, two) = (effect(1), effect(2));
        let same = [one.clone(), two.clone()];
        assert_eq!(compare_effects(&same, &same), Ok(()));
        let other = Effect { name: "mail".into(), ..one.clone() };
        for replayed in
            [&[one.clone()][..], &[], &[two, one.clone()], &[one.clone(), other], &[one.clone(), one]]
        {
            for (one, other) in [(&same[..], replayed), (replayed, &same[..])] {
                let found = compare_effects(one, other).map_err(|violation| violation.class());
                assert_eq!(found, Err("effect-other"), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_report_quotes_the_beginning_of_a_long_value_only() {
        let long = Outcome::Returned { value: Some(Value::Text("é".repeat(100_000))), files: None };
        let violation = compare(&long, &returned(1, None)).expect_err("they differ");
        assert!(violation.to_string().len() < 1000);
    }
}
