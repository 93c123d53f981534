//! What is announced of a front end when its app answers: who it is for, and where everything is.

use std::cell::RefCell;

use spk_grains::store::capabilities::Assignment;

use crate::serve::event::ApiAccess;
use crate::serve::options::Visit;
use crate::serve::user::User;

/// See the module.
pub(super) struct Announced {
    /// Shown where the app is named.
    pub title: String,
    /// Whom the grain is served for.
    pub user: User,
    /// Other users whose sessions are announced.
    pub others: Vec<(User, Option<Assignment>)>,
    /// Whether sessions in each role are.
    pub every_role: bool,
    /// The API token that was asked for.
    pub token: RefCell<Option<ApiAccess>>,
    /// Choices made in advance, by the name of what was granted: what claims them.
    pub granted: RefCell<Vec<(String, String)>>,
}

impl Announced {
    pub fn new(title: &str, visit: &Visit) -> Announced {
        Announced {
            title: title.to_owned(),
            user: User::named(&visit.user),
            others: visit
                .other_users
                .iter()
                .map(|one| (User::named(&one.user), one.chosen.clone()))
                .collect(),
            every_role: visit.every_role,
            token: RefCell::default(),
            granted: RefCell::default(),
        }
    }
}
