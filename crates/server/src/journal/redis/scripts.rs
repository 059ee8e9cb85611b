//! The scripts: each is one step that nobody sees a part of, and touches the keys of one user alone, which lie in one
//! slot.

use std::sync::LazyLock;

use redis::Script;

/// The script of this file, with what several of them need.
macro_rules! script {
    ($first:literal, $name:literal) => {
        LazyLock::new(|| Script::new(concat!($first, include_str!("prelude.lua"), include_str!($name))))
    };
}

pub(super) static APPEND: LazyLock<Script> = script!("", "append.lua");
/// The same where Redis is full: the end of a run is taken above its bound too (R18).
pub(super) static APPEND_END: LazyLock<Script> = script!("#!lua flags=allow-oom\n", "append.lua");
pub(super) static VIEW: LazyLock<Script> = script!("", "view.lua");
pub(super) static READ: LazyLock<Script> = script!("", "read.lua");
pub(super) static FOLD: LazyLock<Script> = script!("#!lua flags=allow-oom\n", "fold.lua");
pub(super) static JOIN: LazyLock<Script> = script!("", "join.lua");
pub(super) static BURY: LazyLock<Script> = script!("#!lua flags=allow-oom\n", "bury.lua");
pub(super) static LEASE: LazyLock<Script> = script!("#!lua flags=allow-oom\n", "lease.lua");
pub(super) static SETTLE: LazyLock<Script> = script!("#!lua flags=allow-oom\n", "settle.lua");
