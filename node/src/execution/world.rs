//! The world outside as one call sees it: whom it asks, what it tells, and its id.
//!
//! What a script may ask and tell is decided here, alike at a host and in a replay: by the names that block 0 lists, and by bounds.
//! Where the answers come from is the only difference: at a host from its oracles, in a replay from the log.

use libvms_engine::message::{WorldError, WorldReply, WorldRequest};
use libvms_protocol::audit::{Recorded, Violation};
use libvms_protocol::entry::{Effect, OracleAnswer, OracleError, Question};
use libvms_protocol::limits::{EFFECTS_BYTES_MAX, EFFECTS_MAX, QUESTION_BYTES_MAX, QUESTIONS_MAX};
use libvms_protocol::value::Value;

use crate::oracle::{self, Asked};

/// JSON text for one byte of DAG-CBOR, at most: a control character, escaped.
const JSON_PER_BYTE: usize = 6;

/// The names that a script may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) oracles: Vec<String>,
    pub(super) effects: Vec<String>,
}

/// One call's world.
#[derive(Debug)]
pub(super) struct World {
    /// `None` where scripts have no such thing.
    id: Option<String>,
    source: Source,
    questions: usize,
    effects: Vec<Effect>,
    effect_bytes: usize,
}

/// Who answers.
#[derive(Debug)]
pub(super) enum Source {
    Live(Asked),
    Recorded(Recorded),
}

/// What a call has asked and told.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) oracles: Vec<OracleAnswer>,
    pub(super) effects: Vec<Effect>,
}

impl World {
    pub(super) fn new(id: Option<String>, source: Source) -> Self {
        Self { id, source, questions: 0, effects: vec![], effect_bytes: 0 }
    }

    /// Serves a request of the script.
    ///
    /// # Errors
    /// Where the log shows another call than this one.
    pub(super) fn reply(&mut self, request: WorldRequest, names: &Names) -> Result<WorldReply, Violation> {
        match request {
            WorldRequest::CallId => Ok(Ok(self.id.clone())),
            WorldRequest::Ask { name, args } => match self.question(&name, &args, names) {
                Ok(question) => self.ask(&question, args).map(Ok),
                Err(refused) => Ok(Err(refused)),
            },
            WorldRequest::Answer => self.answer(),
            WorldRequest::Emit { name, args } => Ok(self.emit(name, &args, names).map(|()| None)),
        }
    }

    /// Reads a question, if it may be asked.
    fn question(&self, name: &str, args: &str, names: &Names) -> Result<Question, WorldError> {
        if !names.oracles.iter().any(|known| known == name) {
            return Err(oracle_error("unknown", unknown("oracle", name, &names.oracles)));
        }
        if self.questions == QUESTIONS_MAX {
            let why = format!("a call asks at most {QUESTIONS_MAX} questions");
            return Err(oracle_error("too-large", why));
        }
        let too_large = || {
            oracle_error(
                "too-large",
                format!("a question has at most {QUESTION_BYTES_MAX} bytes in DAG-CBOR"),
            )
        };
        let question =
            Question { name: name.into(), args: read("oracle", args, QUESTION_BYTES_MAX, too_large)? };
        if question.bytes() > QUESTION_BYTES_MAX { Err(too_large()) } else { Ok(question) }
    }

    fn ask(&mut self, question: &Question, args: String) -> Result<Option<String>, Violation> {
        self.questions += 1;
        match &mut self.source {
            Source::Live(asked) => {
                let name = question.name.clone();
                asked.ask(question.ask(), oracle::Question { name, args });
            }
            Source::Recorded(recorded) => recorded.ask(question)?,
        }
        Ok(None)
    }

    fn answer(&mut self) -> Result<WorldReply, Violation> {
        let answer = match &mut self.source {
            Source::Live(asked) => asked.answer(),
            Source::Recorded(recorded) => recorded.answer().transpose()?,
        };
        Ok(match answer {
            Some(Ok(value)) => Ok(Some(value.to_json())),
            Some(Err(OracleError { name, message, code })) => {
                Err(WorldError { name, message, code: Some(code.name().into()) })
            }
            // Only a worker that a script has taken over fetches what nobody asked for.
            None => Err(plain("Error", "nothing was asked".into())),
        })
    }

    fn emit(&mut self, name: String, args: &str, names: &Names) -> Result<(), WorldError> {
        if !names.effects.contains(&name) {
            return Err(plain("TypeError", unknown("effect", &name, &names.effects)));
        }
        if self.effects.len() == EFFECTS_MAX {
            return Err(plain("RangeError", format!("a call has at most {EFFECTS_MAX} effects")));
        }
        let too_large = || {
            let why =
                format!("the effects of a call have at most {EFFECTS_BYTES_MAX} bytes in DAG-CBOR together");
            plain("RangeError", why)
        };
        let effect = Effect { name, args: read("emit", args, EFFECTS_BYTES_MAX, too_large)? };
        let bytes = self.effect_bytes.saturating_add(effect.bytes());
        if bytes > EFFECTS_BYTES_MAX {
            return Err(too_large());
        }
        self.effect_bytes = bytes;
        self.effects.push(effect);
        Ok(())
    }

    /// Ends the call.
    ///
    /// # Errors
    /// Where the log has questions or answers that this call did not need.
    pub(super) fn end(self) -> Result<Said, Violation> {
        let Self { source, effects, .. } = self;
        match source {
            Source::Live(asked) => Ok(Said { oracles: asked.end(), effects }),
            // Those of the log, to the byte, and nobody needs them once more.
            Source::Recorded(recorded) => recorded.end().map(|()| Said { oracles: vec![], effects }),
        }
    }
}

/// Refuses what a script wants of the world while it loads.
pub(super) fn while_loading(request: &WorldRequest) -> WorldReply {
    let what = match request {
        WorldRequest::CallId => return Ok(None),
        WorldRequest::Ask { .. } | WorldRequest::Answer => "oracles cannot be asked",
        WorldRequest::Emit { .. } => "there are no effects",
    };
    Err(plain("NotAllowedError", format!("{what} while the script loads: do it in exports.init")))
}

/// Reads arguments of which at most so many bytes can be kept.
fn read(
    what: &str,
    args: &str,
    bytes_max: usize,
    too_large: impl FnOnce() -> WorldError,
) -> Result<Vec<Value>, WorldError> {
    // Before it is read: what is read takes far more memory than its text.
    if args.len() > JSON_PER_BYTE * bytes_max {
        return Err(too_large());
    }
    match Value::from_json(args) {
        Ok(Value::Array(args)) => Ok(args),
        Ok(_) => Err(plain("TypeError", format!("{what}: the arguments are no list"))),
        Err(error) => Err(plain("TypeError", format!("{what}: the arguments are {error}"))),
    }
}

fn unknown(kind: &str, name: &str, known: &[String]) -> String {
    let name: String = name.chars().take(100).collect();
    let known = match known {
        [] => format!("it has no {kind}"),
        known => {
            format!("it has {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    };
    format!("this service has no {kind} `{name}`: {known}")
}

fn oracle_error(code: &str, message: String) -> WorldError {
    WorldError { name: "OracleError".into(), message, code: Some(code.into()) }
}

fn plain(name: &str, message: String) -> WorldError {
    WorldError { name: name.into(), message, code: None }
}
