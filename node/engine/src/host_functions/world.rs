//! The functions behind `System.oracle`, `System.emit` and `System.call`: requests to the world outside, and what each costs.
//!
//! The driver decides about each request at once, from what the log says or will say. Only an answer may be long in coming, and
//! is fetched when the script can do nothing else.

use std::rc::Rc;

use rquickjs::{Ctx, Object, Result};

use super::values::{Refusal, Text, WorldAnswer};
use super::{Host, HostFunctions, STEPS_PER_OPERATION, stopped};
use crate::message::{Fault, WorldReply, WorldRequest};
use crate::surrogates::without_lone_surrogates;

/// Bytes of JSON text that the driver reads or writes in one step.
const JSON_BYTES_PER_STEP: usize = 2;

impl HostFunctions {
    /// Adds these functions to those that the prelude reaches.
    pub(crate) fn lend_world(self: &Rc<Self>, object: &Object<'_>) -> Result<()> {
        let host = Host { object: object.clone(), functions: self.clone() };
        let this = self.clone();
        host.define("ask", move |ctx: Ctx<'_>, Text(name): Text, Text(args): Text| {
            let request = |args| WorldRequest::Ask { name, args };
            this.say(&ctx, args, request, || this.questions.set(this.questions.get() + 1))
        })?;
        let this = self.clone();
        host.define("answer", move |ctx: Ctx<'_>| {
            this.questions.set(this.questions.get().saturating_sub(1));
            Ok::<_, rquickjs::Error>(WorldAnswer(this.world(&ctx, WorldRequest::Answer, 0)?))
        })?;
        let this = self.clone();
        host.define("emit", move |ctx: Ctx<'_>, Text(name): Text, Text(args): Text| {
            this.say(&ctx, args, |args| WorldRequest::Emit { name, args }, || ())
        })?;
        let this = self.clone();
        host.define("callId", move |ctx: Ctx<'_>| {
            Ok::<_, rquickjs::Error>(WorldAnswer(this.world(&ctx, WorldRequest::CallId, 0)?))
        })
    }

    /// Returns whether the running call has asked a question whose answer it has not fetched yet.
    pub(crate) fn has_question(&self) -> bool {
        self.questions.get() > 0
    }

    /// Says something to the world. Returns why it was not taken; if it was, nothing can fail any more.
    fn say(
        &self,
        ctx: &Ctx<'_>,
        args: String,
        request: impl FnOnce(String) -> WorldRequest,
        taken: impl FnOnce(),
    ) -> Result<Refusal> {
        let bytes = args.len();
        match self.world(ctx, request(without_lone_surrogates(&args)), bytes)? {
            Ok(_) => {
                taken();
                Ok(Refusal(None))
            }
            Err(error) => Ok(Refusal(Some(error))),
        }
    }

    /// Sends a request that has so many bytes of JSON text, and pays for it and its reply.
    fn world(&self, ctx: &Ctx<'_>, request: WorldRequest, bytes: usize) -> Result<WorldReply> {
        if !self.meter.pay(STEPS_PER_OPERATION + (bytes / JSON_BYTES_PER_STEP) as u64) {
            return Err(stopped(ctx));
        }
        let Some(reply) = self.port.world(request) else {
            self.meter.stop(Fault::Fuel);
            return Err(stopped(ctx));
        };
        let bytes = bytes_of(&reply);
        if self.meter.pay((bytes / JSON_BYTES_PER_STEP) as u64) { Ok(reply) } else { Err(stopped(ctx)) }
    }
}

fn bytes_of(reply: &WorldReply) -> usize {
    match reply {
        Ok(text) => text.as_ref().map_or(0, String::len),
        Err(error) => error.message.len(),
    }
}
