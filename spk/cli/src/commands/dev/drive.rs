//! What uses the app in a person's place: `--crawl`, then `--exec`.

use std::ffi::OsString;

use crate::crawl::{Crawl, Limits};
use crate::driving::Driver;
use crate::error::Result;
use crate::ui::Ui;

use super::exec::Exec;

/// What is done, in this order.
#[derive(Clone)]
pub struct Drive {
    crawl: Option<Crawl>,
    exec: Option<Exec>,
}

/// The options that say what is done.
#[derive(clap::Args)]
pub struct DriveArgs {
    /// Follow the links, scripts, styles, images and search forms of the app's pages when it answers, as
    /// the user, in each role of the app, and as an anonymous visitor, and end with it; LIMITS: how many
    /// requests, how long, or both, as in 500,90s (default: 2000,60s)
    #[arg(long, value_name = "LIMITS", num_args = 0..=1, require_equals = true, default_missing_value = "2000,60s", conflicts_with_all = ["mount", "server"])]
    crawl: Option<Limits>,
    /// Send forms that may change something, too, each with something in every field
    #[arg(long, requires = "crawl")]
    crawl_posts: bool,
    /// Run this command, and all that is behind it, when the app answers, and end with it and its exit
    /// status: tests, a script. It is told where the app is by SPK_SESSION_URL, SPK_ADDRESS, SPK_USER,
    /// SPK_API_URL and SPK_API_TOKEN
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true, conflicts_with_all = ["mount", "server"])]
    exec: Vec<OsString>,
}

impl Drive {
    /// Nothing, if the options ask for nothing: a person uses the app.
    pub fn new(args: DriveArgs) -> Option<Drive> {
        let crawl = args.crawl.map(|limits| Crawl::new(limits, args.crawl_posts));
        let exec = (!args.exec.is_empty()).then(|| Exec::new(args.exec));
        (crawl.is_some() || exec.is_some()).then_some(Drive { crawl, exec })
    }

    /// What is done when the app answers.
    pub fn driver(&self, user: &str, ui: &Ui) -> Driver {
        let (this, user, ui) = (self.clone(), user.to_owned(), ui.clone());
        let every_role = self.crawl.is_some();
        let drive =
            Box::new(move |ready, stdout| -> futures::future::LocalBoxFuture<'static, ()> {
                Box::pin(async move {
                    if let Some(crawl) = &this.crawl
                        && !crawl.run(&ready, &ui).await
                    {
                        return;
                    }
                    if let Some(exec) = &this.exec {
                        exec.run(&user, &ready, stdout, &ui).await;
                    }
                })
            });
        Driver { every_role, drive }
    }

    /// What came of it.
    ///
    /// # Errors
    /// What was first not done, or failed.
    pub fn outcome(&self, ui: &Ui) -> Result<()> {
        let crawled = self.crawl.as_ref().map_or(Ok(()), |crawl| crawl.outcome(ui));
        crawled.and(self.exec.as_ref().map_or(Ok(()), Exec::outcome))
    }
}
