//! (to come: the whole table of protocol.md) One table: refusal, eviction or error -> close code, reason, reconnect class.
