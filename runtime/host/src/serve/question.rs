//! What can be asked about a grain that is served: in Rust as values of [`Question`], between
//! processes as their JSON, through the grain's control socket (`docs/sessions.md`, "What a shell
//! can ask").

use serde::{Deserialize, Serialize};

pub use spk_grains::store::capabilities::{Resource, Unauthenticated};

/// A question, or something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Question {
    /// Permissions, roles and users.
    View,
    /// Makes an API token.
    Token(WantedToken),
    /// Lists the API tokens.
    Tokens,
    /// Takes one back, by its short name.
    Revoke {
        /// The name.
        id: String,
    },
    /// Says what a user may do.
    Share {
        /// Who shares; the owner, if nobody is named.
        #[serde(default)]
        from: Option<String>,
        /// With whom.
        to: String,
        /// Role by title or number.
        #[serde(default)]
        role: Option<String>,
        /// Permissions by name, in addition to those of the role.
        #[serde(default)]
        permissions: Option<Vec<String>>,
    },
    /// Takes all shares with a user back.
    Unshare {
        /// The user.
        to: String,
    },
    /// Lists the shares.
    Shares,
    /// The address of a user's session.
    Session {
        /// The user.
        user: String,
    },
    /// What a request can be answered with.
    Choices {
        /// Descriptors, packed, in base64, as pages send them.
        query: Vec<String>,
    },
    /// Answers a request with one of the choices.
    Choose {
        /// Which.
        choice: Choice,
    },
    /// Opens the app's own chooser.
    Request {
        /// Who chooses.
        user: String,
        /// As in [`Question::Choices`].
        query: Vec<String>,
    },
    /// What became of that.
    Outcome {
        /// The request's number.
        request: u64,
    },
    /// What the app offers.
    Offers,
    /// Brings an offer back to the app.
    Accept {
        /// The offer's number.
        offer: u64,
        /// For whom.
        user: String,
    },
    /// What keeps the app awake.
    Awake,
    /// Lets it sleep.
    Cancel {
        /// The wake lock's number.
        lock: u64,
    },
    /// What the app posted.
    Events,
    /// Scheduled jobs.
    Jobs,
}

/// What a token is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WantedToken {
    /// What it is for.
    pub label: String,
    /// Who acts; none: whoever has the token, as a visitor.
    pub user: Option<String>,
    /// Title or number of a role.
    pub role: Option<String>,
    /// Permissions by name.
    pub permissions: Option<Vec<String>>,
    /// Permissions by name that it does not have, whatever else is said.
    pub without: Vec<String>,
    /// Seconds until it ends.
    pub expires: Option<u64>,
    /// Seconds until it ends if nobody has used it.
    pub expires_if_unused: Option<u64>,
    /// What its host answers without it.
    pub unauthenticated: Unauthenticated,
}

/// One answer to a powerbox request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Choice {
    /// A user.
    Identity {
        /// Who.
        user: String,
    },
    /// One of the host's objects for tests.
    Grant {
        /// Which.
        name: String,
    },
    /// What the app itself has: opens a request session.
    App,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn questions_are_written_as_they_are_read() {
        for (question, text) in [
            (Question::View, json!({ "ask": "view" })),
            (Question::Cancel { lock: 3 }, json!({ "ask": "cancel", "lock": 3 })),
            (
                Question::Choose { choice: Choice::Identity { user: "bob".into() } },
                json!({ "ask": "choose", "choice": { "kind": "identity", "user": "bob" } }),
            ),
        ] {
            assert_eq!(serde_json::to_value(&question).unwrap(), text);
            assert_eq!(serde_json::from_value::<Question>(text).unwrap(), question);
        }
        let token = json!({ "ask": "token", "expiresIfUnused": 5, "user": "bob" });
        let wanted = WantedToken {
            user: Some("bob".into()),
            expires_if_unused: Some(5),
            ..WantedToken::default()
        };
        assert_eq!(serde_json::from_value::<Question>(token).unwrap(), Question::Token(wanted));
        for bad in [json!(3), json!({ "ask": "nothing" }), json!({ "ask": "cancel" })] {
            assert!(serde_json::from_value::<Question>(bad).is_err());
        }
    }
}
