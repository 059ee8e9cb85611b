use proptest::prelude::*;

use super::*;

/// A header: version and command, family and transport, length as it is told, addresses.
fn header(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
    [&SIGNATURE[..], &[command, family], &length.to_be_bytes(), rest].concat()
}

/// From 203.0.113.9, port 4660, to 10.0.0.1.
const FOUR: [u8; 12] = [203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x34, 1, 187];

async fn read(bytes: &[u8]) -> (Result<OnBehalfOf, ProxyFault>, usize) {
    let mut rest = bytes;
    (read_header(&mut rest).await, bytes.len() - rest.len())
}

#[tokio::test]
async fn a_header_names_the_client_and_takes_not_a_byte_of_what_follows() {
    let v4 = header(0x21, 0x11, 12, &FOUR);
    let (named, taken) = read(&[&v4[..], b"GET / HTTP/1.1"].concat()).await;
    assert_eq!((named.unwrap(), taken), (OnBehalfOf::Client("203.0.113.9:4660".parse().unwrap()), v4.len()));
    let mut six = [0; 36];
    six[..16].copy_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    six[32..34].copy_from_slice(&7_u16.to_be_bytes());
    let (named, _) = read(&header(0x21, 0x21, 36, &six)).await;
    assert_eq!(named.unwrap(), OnBehalfOf::Client("[2001:db8::7]:7".parse().unwrap()));
}

#[tokio::test]
async fn a_proxy_speaks_for_itself_by_local_alone_and_without_an_address_for_somebody() {
    for bytes in [header(0x20, 0x00, 0, &[]), header(0x20, 0x11, 12, &FOUR)] {
        assert_eq!(read(&bytes).await.0.unwrap(), OnBehalfOf::Itself);
    }
    for bytes in [header(0x21, 0x00, 0, &[]), header(0x21, 0x31, 216, &[7; 216])] {
        assert_eq!(read(&bytes).await.0.unwrap(), OnBehalfOf::Somebody);
    }
}

#[tokio::test]
async fn whoever_ends_before_his_first_byte_cut_nothing_short() {
    assert!(matches!(read(b"").await.0, Err(ProxyFault::Silent)));
    assert!(matches!(read(b"\r").await.0, Err(ProxyFault::Cut(_))));
}

#[tokio::test]
async fn what_is_no_header_is_refused_and_a_long_one_is_not_read() {
    let extension = |length: usize| {
        let value = u16::try_from(length - 3).unwrap().to_be_bytes();
        [&FOUR[..], &[0xee], &value, &vec![0; length - 3]].concat()
    };
    let longest = header(0x21, 0x11, 520, &extension(508));
    assert_eq!(longest.len(), MAX_HEADER_BYTES);
    assert!(matches!(read(&longest).await.0, Ok(OnBehalfOf::Client(_))));
    let (fault, taken) = read(&header(0x21, 0x11, 521, &extension(509))).await;
    assert!(matches!(fault, Err(ProxyFault::TooLong(521))));
    assert_eq!(taken, FIXED_BYTES);
    let (fault, taken) = read(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(matches!(fault, Err(ProxyFault::Missing)));
    assert_eq!(taken, SIGNATURE.len());
    assert!(matches!(read(b"PROXY TCP4 203.0.113.9 10.0.0.1 1 2\r\n").await.0, Err(ProxyFault::Missing)));
    for bytes in [header(0x11, 0x11, 12, &FOUR), header(0x22, 0x11, 12, &FOUR), header(0x21, 0x11, 4, &FOUR[..4])] {
        assert!(matches!(read(&bytes).await.0, Err(ProxyFault::Malformed(_))), "{bytes:?}");
    }
    assert!(matches!(read(&header(0x21, 0x11, 12, &FOUR[..5])).await.0, Err(ProxyFault::Cut(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(command: u8, family: u8, length: u16, rest in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse_header(&rest);
        let _ = parse_header(&header(command, family, length, &rest));
        let told = u16::try_from(rest.len()).unwrap();
        let _ = parse_header(&header(0x21, family, told, &rest));
    }
}
