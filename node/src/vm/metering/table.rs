//! The built-ins that can take long, and what each costs.
//!
//! Not here: what takes the same time for any operand; what calls a function of the script's, or an iterator's `next`, for each
//! element, because calls are counted and so is each `next` below; and what allocates in proportion to its work
//! (`Object.keys`, `Array.prototype.toReversed`), because large allocations are paid for as such.

use super::{Rule, arrays, bytes, text};

/// One built-in.
pub(super) struct Row {
    /// An expression that gives the function, in a heap that no script has touched.
    pub(super) place: &'static str,
    /// What a call costs.
    pub(super) rule: Rule,
    /// Whether the prelude has a version for the operands that the rule can not judge.
    pub(super) is_scripted: bool,
}

const fn row(place: &'static str, rule: Rule) -> Row {
    Row { place, rule, is_scripted: false }
}

const fn scripted(place: &'static str, rule: Rule) -> Row {
    Row { place, rule, is_scripted: true }
}

/// An iterator's `next`: one step each, by its entry and not by a rule.
const fn next(place: &'static str) -> Row {
    row(place, text::matching)
}

pub(super) const TABLE: &[Row] = &[
    scripted("Array.prototype.concat", arrays::concat),
    scripted("Array.prototype.copyWithin", arrays::copy_within),
    scripted("Array.prototype.fill", arrays::fill),
    scripted("Array.prototype.flat", arrays::flat),
    scripted("Array.prototype.flatMap", arrays::scripted),
    row("Array.prototype.includes", arrays::search),
    row("Array.prototype.indexOf", arrays::search),
    scripted("Array.prototype.join", arrays::join),
    row("Array.prototype.lastIndexOf", arrays::search),
    scripted("Array.prototype.reverse", arrays::whole),
    scripted("Array.prototype.shift", arrays::shift),
    scripted("Array.prototype.slice", arrays::slice),
    scripted("Array.prototype.sort", arrays::sort),
    scripted("Array.prototype.splice", arrays::splice),
    scripted("Array.prototype.toLocaleString", arrays::whole),
    scripted("Array.prototype.toSorted", arrays::sort),
    scripted("Array.prototype.unshift", arrays::unshift),
    next("Object.getPrototypeOf([].values()).next"),
    next("Object.getPrototypeOf(new Map().values()).next"),
    next("Object.getPrototypeOf(new Set().values()).next"),
    next("Object.getPrototypeOf(''[Symbol.iterator]()).next"),
    scripted("String.prototype.endsWith", text::starts),
    scripted("String.prototype.includes", text::includes),
    scripted("String.prototype.indexOf", text::index_of),
    scripted("String.prototype.isWellFormed", text::scan),
    scripted("String.prototype.lastIndexOf", text::last_index_of),
    scripted("String.prototype.localeCompare", text::compare),
    scripted("String.prototype.normalize", text::normalize),
    scripted("String.prototype.padEnd", text::pad),
    scripted("String.prototype.padStart", text::pad),
    scripted("String.prototype.repeat", text::repeat),
    scripted("String.prototype.replace", text::replace),
    scripted("String.prototype.replaceAll", text::replace),
    scripted("String.prototype.split", text::split),
    scripted("String.prototype.startsWith", text::starts),
    scripted("String.prototype.toLocaleLowerCase", text::turn),
    scripted("String.prototype.toLocaleUpperCase", text::turn),
    scripted("String.prototype.toLowerCase", text::turn),
    scripted("String.prototype.toUpperCase", text::turn),
    scripted("String.prototype.toWellFormed", text::scan),
    scripted("String.prototype.trim", text::scan),
    scripted("String.prototype.trimEnd", text::scan),
    scripted("String.prototype.trimStart", text::scan),
    scripted("String.raw", text::template),
    row("String", text::print),
    scripted("RegExp", text::pattern),
    scripted("RegExp.prototype.compile", text::pattern),
    row("RegExp.prototype.exec", text::matching),
    row("RegExp.escape", text::subject),
    scripted("JSON.parse", text::read_json),
    scripted("JSON.stringify", text::write_json),
    scripted("BigInt", text::integer),
    row("BigInt.prototype.toString", text::digits),
    scripted("atob", text::argument),
    scripted("btoa", text::argument),
    scripted("decodeURI", text::argument),
    scripted("decodeURIComponent", text::argument),
    scripted("encodeURI", text::argument),
    scripted("encodeURIComponent", text::argument),
    scripted("escape", text::argument),
    scripted("unescape", text::argument),
    scripted("parseFloat", text::argument),
    scripted("parseInt", text::argument),
    row("Symbol.for", text::key),
    row("Map.prototype.delete", text::key),
    row("Map.prototype.get", text::key),
    row("Map.prototype.has", text::key),
    row("Map.prototype.set", text::key),
    row("Set.prototype.add", text::key),
    row("Set.prototype.delete", text::key),
    row("Set.prototype.has", text::key),
    scripted("ArrayBuffer.prototype.resize", bytes::resize),
    row("Object.getPrototypeOf(Int8Array).from", bytes::collected),
    row("Object.getPrototypeOf(Int8Array).prototype.copyWithin", bytes::whole),
    row("Object.getPrototypeOf(Int8Array).prototype.fill", bytes::whole),
    row("Object.getPrototypeOf(Int8Array).prototype.includes", bytes::whole),
    row("Object.getPrototypeOf(Int8Array).prototype.indexOf", bytes::whole),
    row("Object.getPrototypeOf(Int8Array).prototype.join", bytes::join),
    row("Object.getPrototypeOf(Int8Array).prototype.lastIndexOf", bytes::whole),
    row("Object.getPrototypeOf(Int8Array).prototype.reverse", bytes::whole),
    row("Object.getPrototypeOf(Int8Array).prototype.set", bytes::set),
    row("Object.getPrototypeOf(Int8Array).prototype.slice", bytes::whole),
    row("Object.getPrototypeOf(Int8Array).prototype.sort", bytes::sort),
    row("Object.getPrototypeOf(Int8Array).prototype.toLocaleString", bytes::join),
    row("Object.getPrototypeOf(Int8Array).prototype.toReversed", bytes::whole),
    row("Object.getPrototypeOf(Int8Array).prototype.toSorted", bytes::sort),
    row("Object.getPrototypeOf(Int8Array).prototype.with", bytes::whole),
    row("BigInt64Array", bytes::construct),
    row("BigUint64Array", bytes::construct),
    row("Float16Array", bytes::construct),
    row("Float32Array", bytes::construct),
    row("Float64Array", bytes::construct),
    row("Int16Array", bytes::construct),
    row("Int32Array", bytes::construct),
    row("Int8Array", bytes::construct),
    row("Uint16Array", bytes::construct),
    row("Uint32Array", bytes::construct),
    row("Uint8Array", bytes::construct),
    row("Uint8ClampedArray", bytes::construct),
];
