//! Bytes of the machine's own chance, as an oracle.

use data_encoding::HEXLOWER;
use futures::FutureExt;
use futures::future::{self, BoxFuture};
use libvms_protocol::value::Value;

use super::{Failure, Oracle, Question};

/// Bytes of one answer, at most.
const BYTES_MAX: i64 = 65_536;

/// Answers `n` with `n` bytes of the system's chance, in hexadecimal digits.
///
/// Callers cannot foresee them, and the host cannot be shown to have drawn them: it may have chosen them. They stand in the log,
/// so they are nobody's secret.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomBytes;

impl Oracle for RandomBytes {
    fn answer(&self, question: Question) -> BoxFuture<'static, Result<Value, Failure>> {
        future::ready(draw(&question)).boxed()
    }
}

fn draw(question: &Question) -> Result<Value, Failure> {
    let [Value::Integer(count @ 1..=BYTES_MAX)] = question.values()[..] else {
        return Err(Failure::Refused(format!("it takes one number, of 1 to {BYTES_MAX} bytes")));
    };
    let mut bytes = vec![0; usize::try_from(count).unwrap_or_default()];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Failed(format!("the system: {error}")))?;
    Ok(Value::Text(HEXLOWER.encode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &str) -> Result<Value, Failure> {
        draw(&Question { name: "random".into(), args: args.into() })
    }

    #[test]
    fn a_number_of_bytes_is_drawn() {
        let drawn = || match asked("[32]") {
            Ok(Value::Text(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(drawn().len(), 64);
        assert_ne!(drawn(), drawn());
        assert!(asked("[65536]").is_ok());
        for refused in ["[]", "[0]", "[65537]", "[-1]", "[1.5]", "[\"1\"]", "[1, 2]", "[null]"] {
            assert!(matches!(asked(refused), Err(Failure::Refused(_))), "{refused}");
        }
    }
}
