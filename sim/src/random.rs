//! Randomness of a whole thread from a seed: that of hash maps, of identifiers, of the order in which a runtime polls.
//!
//! All of it begins with bytes that the operating system gives by `getrandom`. In programs with this module those bytes come
//! from a generator of the thread that asks, so that a simulation which has a thread of its own does the same for the same
//! seed, whatever crates it runs. Such bytes are no secret: nothing but simulations may contain this module.

use std::{
    cell::Cell,
    ffi::{c_uint, c_void},
};

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Makes all randomness of this thread, as far as nothing has asked for it before, depend on a seed.
pub(crate) fn seed(seed: u64) {
    STATE.set(seed);
}

/// The next number of a sequence: SplitMix64.
fn next() -> u64 {
    let state = STATE.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Stands in for the function of the C library of this name.
///
/// # Safety
/// `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _flags: c_uint) -> isize {
    if length == 0 {
        return 0;
    }
    // SAFETY: the caller's buffer has room for so many bytes, and nobody else uses it during the call. A part of a vector
    // that is not initialized may be asked for, so it is written before it is looked at.
    let bytes = unsafe {
        std::ptr::write_bytes(buffer.cast::<u8>(), 0, length);
        std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length)
    };
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&next().to_le_bytes()[..part.len()]);
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    fn numbers(seed: u64) -> Vec<u64> {
        let work = move || {
            super::seed(seed);
            vec![RandomState::new().hash_one(1), rand::random(), rand::random()]
        };
        let thread = std::thread::Builder::new().spawn(work).expect("a thread starts");
        thread.join().expect("it ends")
    }

    #[test]
    fn what_is_random_depends_on_the_seed() {
        let (first, other) = (numbers(1), numbers(2));
        assert_eq!(first, numbers(1));
        assert!(first.iter().zip(&other).all(|(a, b)| a != b), "{first:?} {other:?}");
    }
}
