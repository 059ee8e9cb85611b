//! Which close codes a client may send, and what its close frame says.

use super::violation::Violation;

/// What a close frame from a client carries; no code where it is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CloseFrame {
    pub(super) code: Option<u16>,
}

impl CloseFrame {
    /// Reads the payload (RFC 6455, section 5.5.1); the reason is checked and then ignored.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Violation> {
        match payload {
            [] => Ok(Self { code: None }),
            [_] => Err(Violation::Protocol("a close code is two bytes long")),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !is_sendable(code) {
                    return Err(Violation::Protocol("no client may send this close code"));
                }
                match std::str::from_utf8(reason) {
                    Ok(_) => Ok(Self { code: Some(code) }),
                    Err(_) => Err(Violation::InvalidText),
                }
            }
        }
    }
}

/// Codes that may stand in a client's close frame (RFC 6455, section 7.4): 1004 to 1006 and 1015 never travel, 1012 to
/// 1014 are a server's, and nothing is defined between.
fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1011 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_a_client_may_send_are_accepted() {
        for code in [1000, 1001, 1003, 1007, 1011, 3000, 4999] {
            assert_eq!(CloseFrame::parse(&u16::to_be_bytes(code)), Ok(CloseFrame { code: Some(code) }));
        }
        for code in [0, 999, 1004, 1005, 1006, 1012, 1015, 1016, 2999, 5000, 65_535] {
            assert!(CloseFrame::parse(&u16::to_be_bytes(code)).is_err(), "{code}");
        }
    }

    #[test]
    fn half_a_code_and_a_broken_reason_are_violations() {
        assert!(matches!(CloseFrame::parse(&[3]), Err(Violation::Protocol(_))));
        assert_eq!(CloseFrame::parse(&[0x03, 0xe8, 0xff]), Err(Violation::InvalidText));
        assert_eq!(CloseFrame::parse(&[]), Ok(CloseFrame { code: None }));
    }
}
