//! The functions that QuickJS takes from the C library and that differ between C libraries.
//!
//! The C library chooses its sine by the processor it finds, and its time zone by the environment. The functions here
//! have the same names, so that the static link gives them to QuickJS instead: transcendental functions from the
//! crate libm (a port of musl's, the same bits everywhere), and a local time that is UTC. They hold for the whole
//! program, which asks nobody else for a sine or for the local time.
#![expect(unsafe_code, reason = "symbols for the C linker, and C's struct tm")]

macro_rules! pinned {
    ($($name:ident($($argument:ident),+);)+) => {
        $(
            // SAFETY: signature and meaning are those of the C function of this name.
            #[unsafe(no_mangle)]
            extern "C" fn $name($($argument: f64),+) -> f64 {
                libm::$name($($argument),+)
            }
        )+
    };
}

pinned! {
    acos(x); acosh(x); asin(x); asinh(x); atan(x); atan2(y, x); atanh(x);
    cbrt(x); cos(x); cosh(x); exp(x); expm1(x); hypot(x, y);
    log(x); log10(x); log1p(x); log2(x); pow(x, y);
    sin(x); sinh(x); tan(x); tanh(x);
}

/// POSIX `localtime_r` for a machine in UTC.
///
/// # Safety
/// As POSIX says: both point to what their types say.
// SAFETY: signature and meaning are those of the C function of this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn localtime_r(time: *const libc::time_t, result: *mut libc::tm) -> *mut libc::tm {
    // SAFETY: the caller's pointers are passed on as they are.
    unsafe { libc::gmtime_r(time, result) }
}
