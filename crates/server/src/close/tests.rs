use std::collections::HashSet;

use super::*;

const REASONS: [EvictReason; 13] = [
    EvictReason::Left,
    EvictReason::ClientClosed,
    EvictReason::LingerEnded,
    EvictReason::Unresponsive,
    EvictReason::Slow,
    EvictReason::TokenExpired,
    EvictReason::Superseded,
    EvictReason::MadeRoom,
    EvictReason::MadeRoomForConnection,
    EvictReason::ByAdmin,
    EvictReason::LoggedOut,
    EvictReason::Revoked,
    EvictReason::Draining,
];

#[test]
fn the_code_alone_says_whether_to_reconnect() {
    for close in Close::ALL {
        let row = close.closing();
        match row.code {
            4000..=4999 => assert_eq!(row.code % 1000 < 500, row.reconnect == Reconnect::Resume, "{close:?}"),
            code => {
                assert_eq!(code, 1000, "{close:?}");
                assert_eq!(row.reconnect, Reconnect::Never, "{close:?}");
            }
        }
    }
}

#[test]
fn every_close_reason_fits_into_a_close_frame() {
    for close in Close::ALL {
        let longest = close.closing().after(Duration::MAX).to_json();
        assert!(longest.len() <= MAX_REASON_BYTES, "{longest}");
        let value: serde_json::Value = serde_json::from_str(&longest).unwrap();
        assert_eq!(value["reason"], close.closing().reason);
    }
}

#[test]
fn a_drained_client_is_told_when_to_come_back() {
    let closing = Closing::from(Refusal::Draining { retry_in: Duration::from_millis(7_300) });
    assert_eq!(closing.code, 4001);
    assert_eq!(closing.to_json(), r#"{"reason":"draining","reconnect":true,"retry_in":7300}"#);
}

#[test]
fn the_codes_and_words_are_those_of_the_protocol() {
    let table: Vec<(u16, &str)> = Close::ALL.map(|close| (close.closing().code, close.closing().reason)).to_vec();
    assert_eq!(
        table,
        [
            (1000, "done"),
            (4000, "retry"),
            (4001, "draining"),
            (4002, "slow"),
            (4003, "unresponsive"),
            (4004, "token_expired"),
            (4005, "hello_timeout"),
            (4006, "overload"),
            (4500, "bad_protocol"),
            (4501, "unauthorized"),
            (4503, "forbidden"),
            (4506, "unsupported_version"),
            (4510, "superseded"),
            (4511, "evicted"),
            (4512, "closed_by_admin"),
            (4513, "logged_out"),
        ]
    );
}

#[test]
fn no_two_rows_share_a_code_or_a_word() {
    let codes: HashSet<u16> = Close::ALL.iter().map(|close| close.closing().code).collect();
    let words: HashSet<&str> = Close::ALL.iter().map(|close| close.closing().reason).collect();
    assert_eq!((codes.len(), words.len()), (Close::ALL.len(), Close::ALL.len()));
    let errors: HashSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(errors.len(), ErrorCode::ALL.len());
}

#[test]
fn the_loser_of_a_takeover_does_not_come_back_by_itself() {
    let closing = Closing::from(EvictReason::Superseded);
    assert_eq!((closing.code, closing.reconnect), (4510, Reconnect::Never));
}

#[test]
fn whoever_made_room_comes_back_on_demand_and_not_at_once() {
    for reason in [EvictReason::MadeRoom, EvictReason::MadeRoomForConnection] {
        let closing = Closing::from(reason).after(Duration::from_secs(1));
        assert_eq!((closing.code, closing.reconnect, closing.retry_in), (4511, Reconnect::OnDemand, None));
    }
}

#[test]
fn no_eviction_for_a_fault_of_the_network_or_of_ours_is_terminal() {
    for reason in REASONS {
        let closing = Closing::from(reason);
        let terminal = closing.reconnect == Reconnect::Never;
        let on_purpose = matches!(
            reason,
            EvictReason::Left
                | EvictReason::ClientClosed
                | EvictReason::LingerEnded
                | EvictReason::Superseded
                | EvictReason::ByAdmin
                | EvictReason::LoggedOut
                | EvictReason::Revoked
        );
        assert_eq!(terminal, on_purpose, "{reason:?}");
    }
}

#[test]
fn every_refusal_of_the_gate_lets_the_client_come_back() {
    let retry_in = Duration::from_secs(3);
    let all = [
        Refusal::Draining { retry_in },
        Refusal::Overload { retry_in },
        Refusal::Shed { retry_in },
        Refusal::NoSlot { retry_in },
        Refusal::NotConnected,
    ];
    for refusal in all {
        let closing = Closing::from(refusal);
        assert_eq!(closing.reconnect, Reconnect::Resume, "{refusal:?}");
        assert_eq!(closing.retry_in, retry_after(refusal), "{refusal:?}");
    }
}

#[test]
fn a_closed_frame_says_in_plain_words_what_happened() {
    let closing = Closing::from(EvictReason::MadeRoom);
    let json = serde_json::to_value(closing.to_frame("t1", None, None)).unwrap();
    assert_eq!(json["type"], "closed");
    assert_eq!(json["thread"], "t1");
    assert_eq!(json["reconnect"], "on_demand");
    assert_eq!(json["message"], closing.sentence);
    assert!(json.get("retry_in").is_none());
}

#[test]
fn an_error_frame_carries_its_row() {
    let json = serde_json::to_value(ErrorCode::Busy.to_frame()).unwrap();
    assert_eq!(json["code"], "busy");
    assert_eq!(json["retry_in"], 1_000);
}

#[test]
fn every_sentence_is_one_for_people() {
    let closes = Close::ALL.map(|close| close.closing().sentence);
    let errors = ErrorCode::ALL.map(|code| code.row().sentence);
    for sentence in closes.iter().chain(errors.iter()) {
        assert!(sentence.ends_with('.') && !sentence.contains('_'), "{sentence}");
    }
}
