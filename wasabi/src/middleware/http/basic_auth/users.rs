//! A table of users and passwords.

use std::net::IpAddr;

use subtle::{Choice, ConditionallySelectable};

use super::{
    super::auth::{Denied, Refused},
    Verify,
};
use crate::{connection::Identity, digest::equal, mistakes::Mistakes};

/// A fixed table of users, as given to [`BasicAuth::users`](super::BasicAuth).
pub struct Users {
    table: Vec<User>,
    mistakes: Mistakes,
    #[cfg(feature = "argon2")]
    hashes: Option<super::hashes::Hashes>,
    #[cfg(feature = "argon2")]
    pub(super) queue: super::login_queue::LoginQueue,
}

struct User {
    name: String,
    secret: Secret,
}

enum Secret {
    Plain(String),
    #[cfg_attr(not(feature = "argon2"), expect(dead_code, reason = "refused before"))]
    Hash(String),
}

impl Users {
    pub(super) fn new(users: impl Iterator<Item = (String, String)>) -> Self {
        let mut made = Self {
            table: Vec::new(),
            mistakes: Mistakes::default(),
            #[cfg(feature = "argon2")]
            hashes: None,
            #[cfg(feature = "argon2")]
            queue: super::login_queue::LoginQueue::new(cores_but_one(), MAX_WAITING),
        };
        for (name, password) in users {
            if let Err(mistake) = made.add(&name, password) {
                made.mistakes.push(format!("user `{name}`: {mistake}"));
            }
        }
        made
    }

    fn add(&mut self, name: &str, password: String) -> Result<(), String> {
        if name.contains(':') {
            return Err("a name cannot contain a colon".to_owned());
        }
        if self.table.iter().any(|user| user.name == name) {
            return Err("the name occurs twice".to_owned());
        }
        let secret = if password.starts_with("$argon2") {
            self.add_hash(&password)?;
            Secret::Hash(password)
        } else {
            Secret::Plain(password)
        };
        let name = name.to_owned();
        self.table.push(User { name, secret });
        Ok(())
    }

    #[cfg(feature = "argon2")]
    fn add_hash(&mut self, hash: &str) -> Result<(), String> {
        let hashes = super::hashes::Hashes::new(hash, self.queue.clone())?;
        self.hashes.get_or_insert(hashes);
        Ok(())
    }

    #[cfg(not(feature = "argon2"))]
    fn add_hash(&mut self, _hash: &str) -> Result<(), String> {
        Err("hashed passwords need the cargo feature `argon2` of wasabi".to_owned())
    }

    /// Returns the position of a user, in the same time whether or not the user exists and wherever it is.
    fn position(&self, name: &str) -> (Choice, u32) {
        let (mut known, mut position) = (Choice::from(0), 0);
        for (at, user) in (0..).zip(&self.table) {
            let same = equal(name.as_bytes(), user.name.as_bytes());
            position = u32::conditional_select(&position, &at, same);
            known |= same;
        }
        (known, position)
    }
}

impl Verify for Users {
    type Identity = String;

    fn mistakes(&self) -> Mistakes {
        #[cfg_attr(not(feature = "argon2"), expect(unused_mut, reason = "of hashes"))]
        let mut mistakes = self.mistakes.clone();
        #[cfg(feature = "argon2")]
        {
            let (threads, queue) = self.queue.limits();
            mistakes.above_zero("BasicAuth::hash_threads", threads);
            mistakes.above_zero("BasicAuth::hash_queue", queue);
        }
        mistakes
    }

    async fn verify(
        &self,
        client: Option<IpAddr>,
        user: String,
        password: String,
    ) -> Result<Identity<String>, Refused> {
        #[cfg(not(feature = "argon2"))]
        let _ = client;
        let (known, position) = self.position(&user);
        // For an unknown name this is the first user; its password does not grant access then.
        let secret = self.table.get(position as usize).map(|user| &user.secret);
        let plain = match secret {
            Some(Secret::Plain(expected)) => equal(password.as_bytes(), expected.as_bytes()),
            _ => {
                let _ = std::hint::black_box(equal(password.as_bytes(), password.as_bytes()));
                Choice::from(0)
            }
        };
        #[cfg(feature = "argon2")]
        let hashed = match &self.hashes {
            Some(hashes) => {
                let expected = match secret {
                    Some(Secret::Hash(hash)) if bool::from(known) => Some(hash.as_str()),
                    _ => None,
                };
                hashes.verify(client, expected, password).await?
            }
            None => Choice::from(0),
        };
        #[cfg(not(feature = "argon2"))]
        let hashed = Choice::from(0);
        if bool::from(known & (plain | hashed)) {
            Ok(Identity::new(user))
        } else {
            Err(Denied::Invalid.into())
        }
    }
}

/// The default number of logins that may wait for a thread.
#[cfg(feature = "argon2")]
const MAX_WAITING: usize = 64;

/// Leaves one core for everything else, if there are two.
#[cfg(feature = "argon2")]
fn cores_but_one() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.saturating_sub(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_the_table_are_named() {
        let table = [
            ("a", "1"),
            ("a", "2"),
            ("b:c", "3"),
            ("d", "$argon2id$nonsense"),
        ];
        let users = Users::new(
            table
                .map(|(name, password)| (name.into(), password.into()))
                .into_iter(),
        );
        let mistakes = users.mistakes.check().expect_err("three mistakes");
        assert_eq!(users.table.len(), 1);
        for part in ["user `a`: ", "user `b:c`: ", "user `d`: "] {
            assert!(mistakes.contains(part), "{mistakes}");
        }
    }
    #[cfg(feature = "argon2")]
    #[tokio::test]
    async fn an_unknown_user_costs_the_same_work() {
        let hash = "$argon2id$v=19$m=64,t=1,p=1$YSBzYWx0IG9mIDE2IGJ5$VybhHsfjij0O3eSta7Hv9iWiw5UmJOvsYPP8bFf65LM";
        let table = [("alice", hash), ("bob", "builder")];
        let users = Users::new(
            table
                .map(|(name, password)| (name.into(), password.into()))
                .into_iter(),
        );
        let verified = || {
            let hashes = users.hashes.as_ref().expect("there is a hash");
            hashes.verified.load(std::sync::atomic::Ordering::SeqCst)
        };
        let attempts = ["alice", "bob", "mallory", ""];
        for (before, name) in attempts.into_iter().enumerate() {
            assert_eq!(verified(), before);
            let let_in = users
                .verify(None, name.to_owned(), "wonderland".to_owned())
                .await;
            assert_eq!(let_in.is_ok(), name == "alice", "{name}");
        }
        assert_eq!(verified(), attempts.len());
    }
}
