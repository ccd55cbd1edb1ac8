//! Capture files, looked at before DPDK is given them: what it says of a bad one says little.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What is wrong with a capture's file; displays as one line.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be opened.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// It is something else.
    #[error("{0}: neither a pcap nor a pcapng file")]
    NotACapture(PathBuf),
    /// It holds no Ethernet frames.
    #[error("{0}: a capture of link type {1}; only Ethernet, 1, can be replayed")]
    LinkType(PathBuf, u16),
    /// DPDK's syntax has no way to say this.
    #[error("{0}: a path with a comma in it cannot be given to DPDK")]
    Comma(PathBuf),
    /// It would be lost.
    #[error("{0}: given for input and output")]
    Overwritten(PathBuf),
}

const ETHERNET: u16 = 1;

/// Checks that this is a capture of Ethernet frames, by its first octets (draft-ietf-opsawg-pcap §4,
/// draft-ietf-opsawg-pcapng §4.1 and §4.2).
///
/// # Errors
/// What it is instead.
pub fn check(file: &Path) -> Result<(), CaptureError> {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|open| open.take(1024).read_to_end(&mut head));
    read.map_err(|cause| CaptureError::Io(file.to_owned(), cause))?;
    match link_type(&head) {
        Some(ETHERNET) => Ok(()),
        Some(other) => Err(CaptureError::LinkType(file.to_owned(), other)),
        None => Err(CaptureError::NotACapture(file.to_owned())),
    }
}

fn link_type(head: &[u8]) -> Option<u16> {
    let octets = |at: usize| Some([*head.get(at)?, *head.get(at + 1)?, *head.get(at + 2)?, *head.get(at + 3)?]);
    let little = |at: usize| octets(at).map(u32::from_le_bytes);
    let big = |at: usize| octets(at).map(u32::from_be_bytes);
    let half = |at: usize, is_little: bool| {
        let pair = [*head.get(at)?, *head.get(at + 1)?];
        Some(if is_little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    match little(0)? {
        0xa1b2_c3d4 | 0xa1b2_3c4d => little(20).map(|word| word as u16),
        0xd4c3_b2a1 | 0x4d3c_b2a1 => big(20).map(|word| word as u16),
        0x0a0d_0d0a => {
            let is_little = little(8)? == 0x1a2b_3c4d;
            let length = if is_little { little(4)? } else { big(4)? } as usize;
            half(length + 8, is_little)
        }
        _ => None,
    }
}

/// Makes an empty file for output.
///
/// # Errors
/// If that fails.
pub fn create(file: &Path) -> Result<(), CaptureError> {
    File::create(file).map(|_| ()).map_err(|cause| CaptureError::Io(file.to_owned(), cause))
}

/// Tells whether two paths lead to the same file.
pub fn same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Writes a path as the value of a device argument.
///
/// # Errors
/// If it cannot be written there.
pub fn argument(file: &Path) -> Result<&str, CaptureError> {
    let text = file.to_str().filter(|text| !text.contains(','));
    text.ok_or_else(|| CaptureError::Comma(file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(little: bool, link: u32) -> Vec<u8> {
        let words = [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65_535, link];
        words.iter().flat_map(|word| if little { word.to_le_bytes() } else { word.to_be_bytes() }).collect()
    }

    fn next_generation(little: bool, link: u16) -> Vec<u8> {
        let word = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let section = [0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28].map(word).concat();
        let link = if little { link.to_le_bytes() } else { link.to_be_bytes() };
        [&section[..], &word(1), &word(20), &link, &[0; 2]].concat()
    }

    #[test]
    fn link_types_are_found_in_either_order() {
        for little in [true, false] {
            assert_eq!(link_type(&classic(little, 1)), Some(1));
            assert_eq!(link_type(&classic(little, 113)), Some(113));
            assert_eq!(link_type(&next_generation(little, 1)), Some(1));
            assert_eq!(link_type(&next_generation(little, 276)), Some(276));
        }
    }

    #[test]
    fn anything_cut_short_is_no_capture() {
        for whole in [classic(true, 1), next_generation(false, 1)] {
            let needed = if whole.len() == 24 { 24 } else { whole.len() - 2 };
            assert!((0..needed).all(|length| link_type(&whole[..length]).is_none()));
        }
        assert_eq!(link_type(b"GIF89a and so on, longer than a header of either kind"), None);
    }
}
