//! Memory for what may wait long: pages of its own, which the system gets back the moment they are let go.
//!
//! An allocator keeps what was freed between blocks that are still in use. With glibc's, a broker whose slow readers were
//! owed 200 MiB kept all of it for good; that is why the bytes they are owed do not lie in the allocator's memory.

use bytes::Bytes;
use memmap2::MmapMut;

/// Moves the bytes to pages of their own. Without such pages they stay where they are.
pub(super) fn set_apart(bytes: Bytes) -> Bytes {
    match MmapMut::map_anon(bytes.len()) {
        Ok(mut pages) => {
            pages.copy_from_slice(&bytes);
            Bytes::from_owner(pages)
        }
        Err(_) => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_set_apart_are_the_same_elsewhere() {
        let bytes = Bytes::from(vec![7; 20_000]);
        let apart = set_apart(bytes.clone());
        assert_eq!(apart, bytes);
        assert_ne!(apart.as_ptr(), bytes.as_ptr());
        assert_eq!(set_apart(Bytes::new()), Bytes::new());
    }
}
