//! What an app's page asks the shell's page for: something from the powerbox, or a token for an
//! offer template (http-bridge specification, 7.13 and 7.14).

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Shell;
use super::problem::Problem;
use crate::store::GrainId;

/// A token that nobody uses for so many seconds is worth nothing.
const UNUSED: u64 = 5 * 60;

/// A request of the app's, and what the person chose.
#[derive(Debug, Deserialize)]
pub(super) struct AskPowerbox {
    /// Descriptors, packed, in base64.
    query: Vec<String>,
    /// The ID of one of the choices; none: they are asked for.
    choice: Option<String>,
}

/// What a token of an offer template is to be.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AskToken {
    petname: Option<String>,
    role_assignment: Option<RoleAssignment>,
}

/// `ViewSharingLink.RoleAssignment` as pages write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum RoleAssignment {
    None(()),
    AllAccess(()),
    RoleId(u16),
}

impl Shell {
    /// The choices, or what one of them is worth.
    pub(super) async fn powerbox(
        self: &Rc<Self>,
        id: &GrainId,
        ask: AskPowerbox,
    ) -> Result<Value, Problem> {
        if let Some(choice) = ask.choice {
            let choice: Value = serde_json::from_str(&choice)
                .map_err(|_| Problem::bad("that is none of the choices"))?;
            return self.ask(id, json!({ "ask": "choose", "choice": choice })).await;
        }
        let found = self.ask(id, json!({ "ask": "choices", "query": ask.query })).await?;
        let choices: Vec<Value> = found
            .as_array()
            .into_iter()
            .flatten()
            // What the app itself has is chosen in a session of the app's.
            .filter(|found| found["choice"]["kind"] != "app")
            .map(|found| {
                let description = match found["choice"]["kind"].as_str() {
                    Some("identity") => "a user",
                    _ => "for tests",
                };
                json!({
                    "id": found["choice"].to_string(), "title": found["title"],
                    "description": description,
                })
            })
            .collect();
        Ok(json!({ "choices": choices }))
    }

    /// A token for an offer template.
    pub(super) async fn template_token(
        self: &Rc<Self>,
        id: &GrainId,
        ask: AskToken,
    ) -> Result<Value, Problem> {
        let role = match ask.role_assignment {
            None | Some(RoleAssignment::AllAccess(_)) => "all".to_owned(),
            Some(RoleAssignment::None(_)) => "none".to_owned(),
            Some(RoleAssignment::RoleId(index)) => index.to_string(),
        };
        let made = self
            .ask(
                id,
                json!({
                    "ask": "token", "label": ask.petname.unwrap_or_default(), "role": role,
                    "user": "alice", "expiresIfUnused": UNUSED,
                }),
            )
            .await?;
        let url = made["url"].as_str().unwrap_or_default();
        let open = self.open.borrow().get(id).cloned();
        let title = open.map(|open| open.held.borrow().meta().title.clone()).unwrap_or_default();
        Ok(json!({
            "token": made["token"], "host": url.trim_start_matches("http://"),
            "slug": slug(&title),
        }))
    }

    /// Asks the front end, whose origins are those of the grain that spk was started for.
    async fn ask(self: &Rc<Self>, id: &GrainId, question: Value) -> Result<Value, Problem> {
        if *id != self.primary {
            let text = "this works only in the grain that spk was started for";
            return Err(Problem::conflict(text).hint("open it with `spk grain open`"));
        }
        self.front()?.ask(question).await.map_err(|error| Problem::bad(&error))
    }
}

/// A title as it may stand in a URL: letters, digits and hyphens.
fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_has_nothing_that_means_something_in_a_url() {
        assert_eq!(slug("My Notes: 2/3 \u{fc}"), "my-notes-2-3");
        assert_eq!(slug("..//"), "");
    }

    #[test]
    fn role_assignments_are_read_as_pages_write_them() {
        let read = |text: &str| serde_json::from_str::<AskToken>(text);
        assert!(matches!(
            read(r#"{"roleAssignment": {"roleId": 2}}"#).unwrap().role_assignment,
            Some(RoleAssignment::RoleId(2))
        ));
        assert!(matches!(
            read(r#"{"roleAssignment": {"allAccess": null}}"#).unwrap().role_assignment,
            Some(RoleAssignment::AllAccess(_))
        ));
        assert!(read("{}").unwrap().role_assignment.is_none());
        assert!(read(r#"{"roleAssignment": {"boss": null}}"#).is_err());
    }
}
