//! Requests of an app's page for something of others, and what comes of them.

use serde::Serialize;
use serde_json::{Value, json};
use spk_grains::store::capabilities::Object;

use super::{GrainApi, address};
use crate::serve::front::descriptors::{descriptors, matches, packed, tagged, tags};
use crate::serve::host_objects::grants::{self, GRANTS};
use crate::serve::powerbox::{self, Offer};
use crate::serve::question::Choice;
use crate::serve::session::Kind;
use crate::serve::user::{KNOWN, User};

/// A choice, and what people call it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Titled {
    pub choice: Choice,
    pub title: String,
}

/// What was chosen, as the page gets it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Chosen {
    /// What claims it.
    pub token: String,
    /// Packed, in base64.
    pub descriptor: String,
}

/// An app's own chooser.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Chooser {
    /// The request's number among the grain's.
    pub request: u64,
    /// Its address.
    pub url: String,
}

/// What became of a request.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub(crate) enum Outcome {
    /// Nothing yet.
    Waiting,
    /// The app gave something.
    Fulfilled(Chosen),
}

impl GrainApi<'_> {
    /// What a request can be answered with here.
    pub async fn choices(&self, query: &[String]) -> Result<Vec<Titled>, String> {
        let wanted = tags(&descriptors(query)?).map_err(|error| error.to_string())?;
        let mut choices = Vec::new();
        if matches(&wanted, &[crate::serve::interfaces::IDENTITY]) {
            for name in KNOWN.into_iter().filter(|name| !User::named(name).is_anonymous()) {
                let title = User::named(name).display_name().to_owned();
                choices.push(Titled { choice: Choice::Identity { user: name.to_owned() }, title });
            }
        }
        for (name, what) in GRANTS {
            let object = Object::Grant(name.to_owned());
            let granted = self.grain.objects.granted.iter().any(|granted| granted == name);
            let tag = grants::tag_of(&object);
            if granted && tag.is_some_and(|tag| matches(&wanted, &[tag])) {
                let choice = Choice::Grant { name: name.to_owned() };
                choices.push(Titled { choice, title: what.to_owned() });
            }
        }
        let app = self.grain.app().await.map_err(|error| error.to_string())?;
        if app.info.match_requests.iter().any(|has| matches(&wanted, has)) {
            choices.push(Titled { choice: Choice::App, title: self.front.announced.title.clone() });
        }
        if choices.is_empty() {
            self.front.notes.once(&grants::why_none(&wanted));
        }
        Ok(choices)
    }

    /// A choice was made: what the page gets.
    pub fn choose(&self, choice: &Choice) -> Result<Chosen, String> {
        let objects = &self.grain.objects;
        let object = match choice {
            Choice::Identity { user } if User::named(user).is_anonymous() => {
                return Err("a visitor without account has no identity".into());
            }
            Choice::Identity { user } => Object::Identity(User::named(user).name().to_owned()),
            Choice::Grant { name } => {
                if !objects.granted.contains(name) {
                    return Err(format!("{name} was not granted: spk run --grant {name}"));
                }
                Object::Grant(name.clone())
            }
            Choice::App => return Err("ask for a request session, and for its outcome".into()),
        };
        let tag = grants::tag_of(&object).ok_or("nothing is known about this choice")?;
        let token = objects.powerbox.chosen(object, Vec::new());
        let token = token.map_err(|error| error.to_string())?;
        Ok(Chosen { token, descriptor: packed(&tagged(tag))? })
    }

    /// Opens the app's own chooser for somebody's request, in a page of this grain's.
    pub fn request_session(
        &self,
        user: &User,
        query: &[String],
        asking: &str,
    ) -> Result<Chooser, String> {
        let query = descriptors(query)?;
        let request = self.grain.objects.powerbox.request();
        let kind = Kind::Request { number: request, query, page: self.front.grain_origin(asking) };
        let session = self.front.origins.passing(self.grain, user, kind);
        let session = session.map_err(|error| error.to_string())?;
        Ok(Chooser { request, url: format!("{}/", session.base()) })
    }

    /// What became of a request.
    pub fn outcome(&self, request: u64) -> Result<Outcome, String> {
        match self.grain.objects.powerbox.outcome(request) {
            None => Err(format!("there is no request {request}")),
            Some(powerbox::Outcome::Waiting) => Ok(Outcome::Waiting),
            Some(powerbox::Outcome::Fulfilled { token, descriptor }) => {
                Ok(Outcome::Fulfilled(Chosen { token, descriptor: packed(&descriptor)? }))
            }
        }
    }

    /// What the app offers.
    pub(super) fn offers(&self) -> Value {
        let shown = |(number, offer): &(u64, Offer)| {
            json!({
                "offer": number, "user": offer.user, "title": offer.title,
                "requiredPermissions": offer.required,
            })
        };
        Value::Array(self.grain.objects.powerbox.offers().iter().map(shown).collect())
    }

    /// Brings an offer back to the app.
    pub(super) fn accept(&self, offer: u64, user: &User) -> Result<Value, String> {
        let taken = self.grain.objects.powerbox.take_offer(offer);
        let taken = taken.ok_or_else(|| format!("there is no offer {offer}"))?;
        let kind = Kind::Offer { object: taken.object, descriptor: taken.descriptor };
        let session = self.front.origins.passing(self.grain, user, kind);
        Ok(address(session.map_err(|error| error.to_string())?.base()))
    }
}
