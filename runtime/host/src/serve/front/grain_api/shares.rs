//! Who shares a grain with whom.

use serde_json::{Value, json};
use spk_grains::store::capabilities::Share;

use super::GrainApi;
use crate::serve::permissions::{assigned, assignment};
use crate::serve::user::User;

/// Shares of a grain.
const SHARES: usize = 1000;

/// By what a user is known in the records.
fn key(name: &str) -> String {
    User::named(name).key().to_owned()
}

impl GrainApi<'_> {
    /// Says what a user may do.
    pub(super) async fn share(
        &self,
        from: Option<&str>,
        to: &str,
        role: Option<&str>,
        permissions: Option<&[String]>,
    ) -> Result<Value, String> {
        let role = assignment(role, permissions);
        let app = self.grain.app().await.map_err(|error| error.to_string())?;
        assigned(&app.info, &role).map_err(|error| error.to_string())?;
        let from = from.map_or_else(|| self.grain.owner(), key);
        let share = Share { from, to: key(to), role };
        if self.grain.objects.records.read(|records| records.shares.len() >= SHARES) {
            return Err(format!("the grain has {SHARES} shares, the most"));
        }
        self.change_shares(|shares| {
            if !shares.contains(&share) {
                shares.push(share);
            }
        })
        .await
    }

    /// Takes all shares with a user back.
    pub(super) async fn unshare(&self, to: &str) -> Result<Value, String> {
        let to = key(to);
        self.change_shares(|shares| shares.retain(|share| share.to != to)).await
    }

    /// Changes who may do what; sessions are opened anew (L06).
    async fn change_shares(&self, change: impl FnOnce(&mut Vec<Share>)) -> Result<Value, String> {
        let owner = self.grain.owner();
        let kept = self.grain.objects.records.change(|records| {
            change(&mut records.shares);
            // Whose it is must not change with whom it is served for next.
            records.owner = (!records.shares.is_empty()).then_some(owner);
        });
        kept.await.map_err(|error| error.to_string())?;
        self.front.origins.close_all_of(self.grain);
        self.front.programs.forget_grain(self.grain);
        Ok(json!({}))
    }
}
