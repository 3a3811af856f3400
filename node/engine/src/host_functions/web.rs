//! The functions behind `Buffer` and the globals of the web (`prelude/node/`, `prelude/web/`), and what each costs.
//!
//! Each computes from texts and bytes alone, with libraries whose versions are part of the engine's identity: the same on every
//! machine. The prices are what the slowest way to compute takes, without instructions that only some processors have.
//!
//! ```text
//! encoding    letters from bytes: utf-8, utf-16le, windows-1252
//! address     URLs and forms
//! buffer      the encodings of `Buffer`, and places in bytes
//! signature   digests and signatures
//! ```

mod address;
mod buffer;
mod encoding;
mod signature;

use std::rc::Rc;

use rquickjs::{Ctx, Exception, Object, Result, Value};

use super::values::{self, Bytes, Nullable, Octets, Text, Texts};
use super::{Host, HostFunctions, stopped};

/// Steps for parsing any URL, and for each byte of it: it is looked at several times, and a host may be normalised.
const STEPS_PER_URL: u64 = 120;
const STEPS_PER_URL_BYTE: u64 = 2;
/// Bytes of a form that are parsed or escaped in one step.
const FORM_BYTES_PER_STEP: u64 = 2;
/// Bytes that are decoded or looked at in one step.
const TEXT_BYTES_PER_STEP: u64 = 8;
/// Steps for preparing any search in bytes.
const STEPS_PER_SEARCH: u64 = 16;
/// Steps for any digest, and bytes that are digested in one step.
const STEPS_PER_DIGEST: u64 = 64;
const DIGEST_BYTES_PER_STEP: u64 = 4;
/// Steps for drawing bytes, and bytes that are drawn in one step.
const STEPS_PER_DRAW: u64 = 8;
const DRAWN_BYTES_PER_STEP: u64 = 8;
/// Steps for reading a point of P-256, which may have to be computed from one coordinate.
const STEPS_PER_POINT: u64 = 6_000;
/// Steps for checking one signature, beside the digest of what was signed.
const STEPS_PER_ED25519: u64 = 6_000;
const STEPS_PER_ECDSA: u64 = 20_000;
const STEPS_PER_HMAC: u64 = 256;

impl HostFunctions {
    /// Returns the object through which the globals of the web reach these functions.
    pub(crate) fn web_object<'js>(self: &Rc<Self>, ctx: &Ctx<'js>) -> Result<Object<'js>> {
        let host = Host { object: Object::new(ctx.clone())?, functions: self.clone() };
        self.define_basics(&host)?;
        self.define_texts(&host)?;
        self.define_encodings(&host)?;
        self.define_addresses(&host)?;
        self.define_buffers(&host)?;
        self.define_signatures(&host)?;
        let this = self.clone();
        host.define("origin", move || this.origin.get())?;
        host.define("kindOf", |value: Value<'_>| values::kind_of(&value))?;
        let this = self.clone();
        host.define("randomBytes", move |ctx: Ctx<'_>, count: f64| this.random_bytes(&ctx, count))?;
        Ok(host.object)
    }

    fn define_encodings(self: &Rc<Self>, host: &Host<'_>) -> Result<()> {
        let this = self.clone();
        host.define("encodingOf", move |ctx: Ctx<'_>, Text(label): Text| {
            this.paid(&ctx, label.len() as u64 / TEXT_BYTES_PER_STEP)?;
            Ok::<_, rquickjs::Error>(Nullable(encoding::name_of(&label).map(str::to_owned)))
        })?;
        let this = self.clone();
        host.define("fitting", move |ctx: Ctx<'_>, Text(text): Text, bytes_max: f64| {
            this.paid(&ctx, text.len() as u64 / TEXT_BYTES_PER_STEP)?;
            Ok::<_, rquickjs::Error>(encoding::fitting(&text, bytes_max as usize) as f64)
        })?;
        let this = self.clone();
        host.define("unfinished", move |ctx: Ctx<'_>, bytes: Octets<'_>, Text(encoding): Text| {
            this.paid(&ctx, 1)?;
            Ok::<_, rquickjs::Error>(bytes.with(|bytes| encoding::unfinished(bytes, &encoding)) as f64)
        })?;
        let this = self.clone();
        let decode =
            move |ctx: Ctx<'_>, bytes: Octets<'_>, count: f64, Text(encoding): Text, is_fatal: bool| {
                let count = (count as usize).min(bytes.len());
                this.paid(&ctx, count as u64 / TEXT_BYTES_PER_STEP + 1)?;
                let decoded = bytes.with(|bytes| {
                    bytes.get(..count).and_then(|bytes| encoding::decode(bytes, &encoding, is_fatal))
                });
                Ok::<_, rquickjs::Error>(Nullable(decoded))
            };
        host.define("decode", decode)
    }

    fn define_buffers(self: &Rc<Self>, host: &Host<'_>) -> Result<()> {
        let this = self.clone();
        host.define("bufferBytes", move |ctx: Ctx<'_>, Text(text): Text, Text(encoding): Text| {
            this.paid(&ctx, text.len() as u64 / TEXT_BYTES_PER_STEP + 1)?;
            let bytes = buffer::bytes(text, &encoding);
            bytes.map(Bytes).ok_or_else(|| Exception::throw_type(&ctx, "unknown encoding"))
        })?;
        let this = self.clone();
        host.define("bufferText", move |ctx: Ctx<'_>, bytes: Octets<'_>, Text(encoding): Text| {
            this.paid(&ctx, bytes.len() as u64 / TEXT_BYTES_PER_STEP + 1)?;
            let text = bytes.with(|bytes| buffer::text(bytes, &encoding));
            text.ok_or_else(|| Exception::throw_type(&ctx, "unknown encoding"))
        })?;
        let this = self.clone();
        let find = move |ctx: Ctx<'_>, bytes: Octets<'_>, value: Octets<'_>, start: f64, is_forward: bool| {
            let looked_at = (bytes.len() as u64).saturating_add(value.len() as u64);
            this.paid(&ctx, looked_at / TEXT_BYTES_PER_STEP + STEPS_PER_SEARCH)?;
            let place = bytes
                .with(|bytes| value.with(|value| buffer::find(bytes, value, start as usize, is_forward)));
            Ok::<_, rquickjs::Error>(place.map_or(-1.0, |place| place as f64))
        };
        host.define("bufferFind", find)?;
        let this = self.clone();
        host.define("bufferCompare", move |ctx: Ctx<'_>, one: Octets<'_>, other: Octets<'_>| {
            this.paid(&ctx, one.len().min(other.len()) as u64 / TEXT_BYTES_PER_STEP + 1)?;
            Ok::<_, rquickjs::Error>(one.with(|one| other.with(|other| one.cmp(other))) as i32)
        })
    }

    fn define_addresses(self: &Rc<Self>, host: &Host<'_>) -> Result<()> {
        let this = self.clone();
        host.define("url", move |ctx: Ctx<'_>, Text(url): Text, base: Option<Text>| {
            let base = base.map(|Text(base)| base);
            this.pay_for_url(&ctx, url.len() + base.as_ref().map_or(0, String::len))?;
            Ok::<_, rquickjs::Error>(address::parse(&url, base.as_deref()).map(Texts))
        })?;
        let this = self.clone();
        host.define("changedUrl", move |ctx: Ctx<'_>, Text(url): Text, part: f64, Text(value): Text| {
            this.pay_for_url(&ctx, url.len() + value.len())?;
            Ok::<_, rquickjs::Error>(address::changed(&url, part as usize, &value).map(Texts))
        })?;
        let this = self.clone();
        host.define("formParts", move |ctx: Ctx<'_>, Text(query): Text| {
            this.paid(&ctx, query.len() as u64 / FORM_BYTES_PER_STEP + 1)?;
            Ok::<_, rquickjs::Error>(Texts(address::form_parts(&query)))
        })?;
        let this = self.clone();
        host.define("formText", move |ctx: Ctx<'_>, Text(text): Text| {
            this.paid(&ctx, text.len() as u64 / FORM_BYTES_PER_STEP + 1)?;
            Ok::<_, rquickjs::Error>(address::form_text(&text))
        })
    }

    fn define_signatures(self: &Rc<Self>, host: &Host<'_>) -> Result<()> {
        let this = self.clone();
        host.define("digest", move |ctx: Ctx<'_>, Text(name): Text, bytes: Octets<'_>, size: f64| {
            this.paid(&ctx, STEPS_PER_DIGEST + bytes.len() as u64 / DIGEST_BYTES_PER_STEP)?;
            let digest = bytes.with(|bytes| signature::digest(&name, bytes, size as usize));
            digest.map(Bytes).ok_or_else(|| Exception::throw_type(&ctx, "unknown digest"))
        })?;
        let this = self.clone();
        host.define("isPoint", move |ctx: Ctx<'_>, bytes: Octets<'_>| {
            this.paid(&ctx, STEPS_PER_POINT)?;
            Ok::<_, rquickjs::Error>(bytes.with(signature::is_point))
        })?;
        let this = self.clone();
        let verify = move |ctx: Ctx<'_>,
                           Text(kind): Text,
                           Text(hash): Text,
                           key: Octets<'_>,
                           mark: Octets<'_>,
                           data: Octets<'_>| {
            let steps = match kind.as_str() {
                "Ed25519" => STEPS_PER_ED25519,
                "ECDSA" => STEPS_PER_ECDSA,
                _ => STEPS_PER_HMAC,
            };
            let bytes = (key.len() as u64).saturating_add(data.len() as u64);
            this.paid(&ctx, steps + bytes / DIGEST_BYTES_PER_STEP)?;
            let is_good = key.with(|key| {
                mark.with(|mark| data.with(|data| signature::verify(&kind, &hash, key, mark, data)))
            });
            is_good.ok_or_else(|| Exception::throw_type(&ctx, "unknown kind of signature"))
        };
        host.define("verify", verify)
    }

    fn random_bytes(&self, ctx: &Ctx<'_>, count: f64) -> Result<Bytes> {
        let count = count as usize;
        self.paid(ctx, STEPS_PER_DRAW + count as u64 / DRAWN_BYTES_PER_STEP)?;
        let mut bytes = vec![0; count];
        self.random.borrow_mut().fill(&mut bytes);
        Ok(Bytes(bytes))
    }

    fn pay_for_url(&self, ctx: &Ctx<'_>, bytes: usize) -> Result<()> {
        self.paid(ctx, STEPS_PER_URL.saturating_add(STEPS_PER_URL_BYTE.saturating_mul(bytes as u64)))
    }

    /// Pays so many steps.
    fn paid(&self, ctx: &Ctx<'_>, steps: u64) -> Result<()> {
        if self.pay_steps(steps) { Ok(()) } else { Err(stopped(ctx)) }
    }
}
