//! The rules for the order of a log: [`Order`].

use super::callers::SignedCalls;
use super::violation::Violation;
use crate::entry::{Auth, Call, Entry, Init};
use libvms_hypercore::blocks::BlockIndex;

/// The rules for which entry may follow which in a log.
///
/// ```
/// use libvms_protocol::audit::Order;
/// use libvms_protocol::entry::{Entry, Epoch};
/// # use libvms_hypercore::blocks::Length;
/// # use libvms_hypercore::tree::TreeHash;
/// # use libvms_protocol::entry::FilesHead;
/// # let (version, blobs) = (Length(1), Length::ZERO);
/// # let files = FilesHead { version, hash: TreeHash([0; 32]), blobs, blobs_hash: TreeHash([0; 32]) };
/// let mut order = Order::default();
/// // Block 0 must be an init.
/// let epoch = Entry::Epoch(Epoch { files });
/// assert!(order.next(&epoch, &epoch.encode()?).is_err());
/// # Ok::<(), libvms_protocol::entry::EntryError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Order {
    next_block: BlockIndex,
    latest_at: u64,
    has_init: bool,
    signed: Option<SignedCalls>,
}

impl Order {
    /// Sets whether the script exports `init`, which is known once it has been loaded.
    pub fn script_has_init(&mut self, has_init: bool) {
        self.has_init = has_init;
    }

    /// Returns the latest time in the entries so far, in milliseconds since 1970.
    pub fn latest_at(&self) -> u64 {
        self.latest_at
    }

    /// Returns what signed calls are judged by; `None` for a log whose callers do not sign.
    pub fn into_signed_calls(self) -> Option<SignedCalls> {
        self.signed
    }

    /// Checks the next entry of the log, `block` being its bytes. The signature of a call is not checked here: see
    /// [`check_signature`](super::callers::check_signature).
    ///
    /// # Errors
    /// Why the entry is not allowed at this place. It counts all the same, so that an audit can go on.
    pub fn next(&mut self, entry: &Entry, block: &[u8]) -> Result<(), Violation> {
        let number = self.next_block;
        self.next_block += 1;
        let judged = self.judge(number, entry);
        if let Some(signed) = &mut self.signed {
            signed.append(block);
        }
        judged
    }

    fn judge(&mut self, number: BlockIndex, entry: &Entry) -> Result<(), Violation> {
        let placed = check_place(number, entry, self.has_init);
        match entry {
            Entry::Init(init) if number == BlockIndex::FIRST => self.begin(init),
            Entry::Call(entry) if number > BlockIndex::FIRST => {
                let ordered = self.time(entry.call.at).and(placed);
                let signed = self.signed_call(number, &entry.call);
                ordered.and(signed)
            }
            _ => placed,
        }
    }

    fn begin(&mut self, init: &Init) -> Result<(), Violation> {
        if init.auth == Auth::Signed {
            self.signed = init.limits.call_age.map(SignedCalls::new);
        }
        self.time(init.at)
    }

    fn time(&mut self, at: u64) -> Result<(), Violation> {
        let before = self.latest_at;
        self.latest_at = before.max(at);
        if at < before { Err(Violation::TimeWentBack { at, before }) } else { Ok(()) }
    }

    fn signed_call(&mut self, number: BlockIndex, call: &Call) -> Result<(), Violation> {
        let (Some(signed), Some(by)) = (&mut self.signed, call.authorization()) else { return Ok(()) };
        let judged = signed.check(number, call.at, &by);
        signed.record(number, call.at, &by);
        judged
    }
}

/// Checks that an entry may be block `number` of a log. `has_init` says whether the script exports `init`.
///
/// # Errors
/// [`Violation::WrongOrder`]
pub fn check_place(number: BlockIndex, entry: &Entry, has_init: bool) -> Result<(), Violation> {
    match entry {
        Entry::Init(_) if number > BlockIndex::FIRST => wrong_order("an init is allowed at block 0 only"),
        Entry::Init(_) => Ok(()),
        _ if number == BlockIndex::FIRST => wrong_order("block 0 is not an init"),
        Entry::Call(entry) => check_init_call(number == BlockIndex(1) && has_init, &entry.call),
        Entry::Epoch(_) | Entry::Upgrade(_) => Ok(()),
    }
}

/// Checks a call of `init`: the host makes it once, first, without a user or arguments; callers never do.
fn check_init_call(is_expected: bool, call: &Call) -> Result<(), Violation> {
    match (is_expected, call.method_name == "init") {
        (true, false) => wrong_order("the script's init was not called first"),
        (true, true) if call.user_id.is_some() || !call.args.is_empty() => {
            wrong_order("init was called with a caller or with arguments")
        }
        (false, true) => wrong_order("init was called again"),
        _ => Ok(()),
    }
}

fn wrong_order(what: &'static str) -> Result<(), Violation> {
    Err(Violation::WrongOrder { what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{CallEntry, Caller, Outcome};

    fn call(method: &str, at: u64) -> Entry {
        let call = Call::new(Caller::Anonymous, method, vec![], at);
        Entry::Call(CallEntry::new(call, Outcome::Returned { value: None, files: None }))
    }

    fn next(order: &mut Order, entry: &Entry) -> Result<(), Violation> {
        order.next(entry, &entry.encode().expect("within the limits"))
    }

    fn order_after_deployment(has_init: bool) -> Order {
        Order { next_block: BlockIndex(1), latest_at: 10, has_init, signed: None }
    }

    #[test]
    fn time_never_goes_back() {
        let mut order = order_after_deployment(false);
        assert_eq!(next(&mut order, &call("f", 10)), Ok(()));
        assert_eq!(next(&mut order, &call("f", 9)), Err(Violation::TimeWentBack { at: 9, before: 10 }));
        assert_eq!(next(&mut order, &call("f", 10)), Ok(()));
    }

    #[test]
    fn init_is_called_once_and_first() {
        let mut order = order_after_deployment(true);
        assert_eq!(next(&mut order, &call("init", 10)), Ok(()));
        assert!(matches!(next(&mut order, &call("init", 10)), Err(Violation::WrongOrder { .. })));
        assert!(matches!(
            next(&mut order_after_deployment(true), &call("f", 10)),
            Err(Violation::WrongOrder { .. })
        ));
        assert!(matches!(
            next(&mut order_after_deployment(false), &call("init", 10)),
            Err(Violation::WrongOrder { .. })
        ));
        assert!(matches!(next(&mut Order::default(), &call("f", 10)), Err(Violation::WrongOrder { .. })));
    }
}
