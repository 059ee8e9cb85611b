//! Logins: who logged in with which browser. Of the token that the browser shows only the SHA-256 stands here.

use lychgate_core::UserId;
use rusqlite::{Connection, Row, params};

use super::{Store, StoreError};

/// The table.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS logins (
    digest BLOB PRIMARY KEY,
    realm TEXT NOT NULL,
    user TEXT NOT NULL,
    provider TEXT NOT NULL,
    plan TEXT,
    groups TEXT NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

/// One login. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// SHA-256 of the token in the cookie.
    pub digest: [u8; 32],
    /// Whose it is.
    pub user: UserId,
    /// Who vouched for him.
    pub provider: Box<str>,
    /// The plan that the provider named.
    pub plan: Option<Box<str>>,
    /// The groups that the provider named.
    pub groups: Vec<Box<str>>,
    /// When it began.
    pub issued: u64,
    /// When it ends at the latest.
    pub expires: u64,
    /// When it was shown last, to the minute or so.
    pub seen: u64,
}

impl Store {
    /// All logins of a realm. Rows that nobody could use (a user id that is none) are left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn logins(&self, realm: &str) -> Result<Vec<Login>, StoreError> {
        self.with(|tables| {
            let columns = "digest, user, provider, plan, groups, issued, expires, seen";
            let mut statement = tables.prepare(&format!("SELECT {columns} FROM logins WHERE realm = ?1"))?;
            let rows = statement.query_map([realm], login)?;
            rows.filter_map(Result::transpose).collect()
        })
    }

    /// Keeps a login; when this returns, a restart does not lose it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_login(&self, realm: &str, login: &Login) -> Result<(), StoreError> {
        let groups = serde_json::to_string(&login.groups).expect("a list of text always serialises");
        self.with(|tables| {
            tables.execute(
                "INSERT OR REPLACE INTO logins VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    login.digest,
                    realm,
                    login.user.as_str(),
                    login.provider,
                    login.plan,
                    groups,
                    login.issued,
                    login.expires,
                    login.seen
                ],
            )?;
            Ok(())
        })
    }

    /// Ends logins; when this returns, no restart brings them back.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn end_logins(&self, digests: &[[u8; 32]]) -> Result<(), StoreError> {
        self.change_logins(digests, "DELETE FROM logins WHERE digest = ?1", |statement, digest| {
            statement.execute([digest]).map(drop)
        })
    }

    /// Notes when logins were shown last.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note_logins_seen(&self, seen: &[([u8; 32], u64)]) -> Result<(), StoreError> {
        self.change_logins(seen, "UPDATE logins SET seen = ?2 WHERE digest = ?1", |statement, (digest, seen)| {
            statement.execute(params![digest, seen]).map(drop)
        })
    }

    /// All in one transaction: one wait for the disk.
    fn change_logins<T>(
        &self,
        what: &[T],
        sql: &str,
        change: impl Fn(&mut rusqlite::Statement<'_>, &T) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let in_one = |tables: &Connection| {
            let transaction = tables.unchecked_transaction()?;
            let mut statement = transaction.prepare(sql)?;
            what.iter().try_for_each(|one| change(&mut statement, one))?;
            drop(statement);
            transaction.commit()
        };
        match what.is_empty() {
            true => Ok(()),
            false => self.with(in_one),
        }
    }
}

fn login(row: &Row<'_>) -> rusqlite::Result<Option<Login>> {
    let user: String = row.get(1)?;
    let groups: String = row.get(4)?;
    let Ok(user) = UserId::parse(&user) else { return Ok(None) };
    Ok(Some(Login {
        digest: row.get(0)?,
        user,
        provider: row.get(2)?,
        plan: row.get(3)?,
        groups: serde_json::from_str(&groups).unwrap_or_default(),
        issued: row.get(5)?,
        expires: row.get(6)?,
        seen: row.get(7)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(digest: u8, user: &str) -> Login {
        Login {
            digest: [digest; 32],
            user: UserId::parse(user).unwrap(),
            provider: "google".into(),
            plan: Some("gold".into()),
            groups: vec!["staff".into()],
            issued: 1,
            expires: 9,
            seen: 1,
        }
    }

    #[test]
    fn logins_are_kept_over_a_restart_until_they_are_ended() {
        let directory = std::env::temp_dir().join(format!("lychgate-logins-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (ann, bob, root) = (login(1, "105945141827451681156"), login(2, "bob"), login(3, "root"));
        let store = Store::open(Some(&directory)).unwrap();
        for row in [&ann, &bob] {
            store.keep_login("user", row).unwrap();
        }
        store.keep_login("operator", &root).unwrap();
        store.note_logins_seen(&[(ann.digest, 5), ([9; 32], 5)]).unwrap();
        drop(store);
        let store = Store::open(Some(&directory)).unwrap();
        assert_eq!(store.logins("user").unwrap(), [Login { seen: 5, ..ann }, bob.clone()]);
        assert_eq!(store.logins("operator").unwrap(), [root]);
        store.end_logins(&[[1; 32]]).unwrap();
        drop(store);
        let store = Store::open(Some(&directory)).unwrap();
        assert_eq!(store.logins("user").unwrap(), [bob]);
        drop(store);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
