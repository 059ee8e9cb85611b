//! Where a list goes on, as text that nobody has to understand.

use std::cmp::{Ordering, Reverse};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lychgate_core::{Usage, UserId};

use crate::api::refused::Refused;
use crate::driver::Place;

/// A place in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// Without an order: where the walk goes on.
    Place(Place),
    /// In this order, after this key; none at the beginning.
    After(Order, Option<Key>),
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    User,
    Pressure,
}

/// Stands before every greater one. In thousandths of the limit, the fullest first; by user alone, all are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Reverse<u64>, String);

impl Order {
    pub(super) fn key(self, user: &UserId, usage: Usage) -> Key {
        Key(Reverse(self.pressure(usage)), user.as_str().to_owned())
    }

    /// How a user with this usage stands to a key; the same as comparing with his own, and copies nothing.
    pub(super) fn compare(self, user: &UserId, usage: Usage, with: &Key) -> Ordering {
        (Reverse(self.pressure(usage)), user.as_str()).cmp(&(with.0, with.1.as_str()))
    }

    fn pressure(self, usage: Usage) -> u64 {
        match self {
            Self::User => 0,
            Self::Pressure => (usage.used as u64).saturating_mul(1_000) / (usage.limit as u64).max(1),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pressure => "pressure",
        }
    }
}

impl Cursor {
    /// Reads `sort` and `after` of a query.
    pub(super) fn of(sort: Option<&str>, after: Option<&str>) -> Result<Self, Refused> {
        let order = match sort {
            None => None,
            Some("user") => Some(Order::User),
            Some("pressure") => Some(Order::Pressure),
            Some(_) => return Err(Refused::bad("`sort` in the query must be `user` or `pressure`.")),
        };
        let foreign = || Refused::bad("`after` in the query must be `next` of a page with the same `sort`.");
        match after {
            None => Ok(order.map_or(Self::Place(Place::default()), |order| Self::After(order, None))),
            Some(text) => match Self::parse(text).ok_or_else(foreign)? {
                Self::Place(place) if order.is_none() => Ok(Self::Place(place)),
                Self::After(known, key) if order == Some(known) => Ok(Self::After(known, key)),
                Self::Place(_) | Self::After(..) => Err(foreign()),
            },
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (kind, rest) = text.split_once('.')?;
        let (number, rest) = rest.split_once('.')?;
        let after = |order| Some(Self::After(order, Some(Key(Reverse(number.parse().ok()?), rest.to_owned()))));
        match kind {
            "place" => Some(Self::Place(Place { shard: number.parse().ok()?, slot: rest.parse().ok()? })),
            "user" => after(Order::User),
            "pressure" => after(Order::Pressure),
            _ => None,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Place(Place { shard, slot }) => format!("place.{shard}.{slot}"),
            Self::After(order, Some(Key(Reverse(pressure), user))) => format!("{}.{pressure}.{user}", order.as_str()),
            Self::After(order, None) => format!("{}.", order.as_str()),
        };
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_whatever_a_user_is_called() {
        let place = Cursor::Place(Place { shard: 63, slot: 1_000_000 });
        assert_eq!(Cursor::of(None, Some(&place.to_string())), Ok(place));
        for user in ["105945141827451681156", "a.b.c", ".", "ü:%3A\"", ""] {
            let cursor = Cursor::After(Order::Pressure, Some(Key(Reverse(1_250), user.to_owned())));
            assert_eq!(Cursor::of(Some("pressure"), Some(&cursor.to_string())), Ok(cursor));
        }
    }

    #[test]
    fn a_cursor_of_another_order_or_of_nobody_is_refused() {
        let place = Cursor::Place(Place::default()).to_string();
        for (sort, after) in
            [(Some("user"), place.as_str()), (None, "%%%"), (None, ""), (None, "cGxhY2U"), (None, "cGxhY2UuLTEuMA")]
        {
            assert!(Cursor::of(sort, Some(after)).is_err(), "{sort:?} {after}");
        }
        assert!(Cursor::of(Some("size"), None).is_err());
    }

    #[test]
    fn whoever_is_compared_stands_where_his_key_does() {
        let limits = lychgate_core::Limits::default();
        let users = ["a", "b"].map(|user| UserId::parse(user).unwrap());
        for order in [Order::User, Order::Pressure] {
            for (user, other) in [(0, 0), (0, 1), (1, 0)] {
                for (used, others) in [(3, 3), (3, 20), (20, 3)] {
                    let key = order.key(&users[other], limits.usage(others));
                    let own = order.key(&users[user], limits.usage(used));
                    assert_eq!(order.compare(&users[user], limits.usage(used), &key), own.cmp(&key));
                }
            }
        }
    }

    #[test]
    fn the_fullest_stand_first_and_the_same_by_name() {
        let key = |pressure, user: &str| Key(Reverse(pressure), user.to_owned());
        let mut keys = [key(500, "a"), key(1_000, "b"), key(1_000, "a")];
        keys.sort();
        assert_eq!(keys, [key(1_000, "a"), key(1_000, "b"), key(500, "a")]);
    }
}
