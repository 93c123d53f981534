//! Whether the app answers at all: its first page is asked for before anybody is told where it is.

use std::time::Duration;

use spk_package::causes::in_one_line;
use spk_web_session::values;

use super::ask_app::END_KNOWN;
use super::{Front, plain};
use crate::serve::error::Error;
use crate::serve::listening::Listening;
use crate::serve::permissions::Unknown;
use crate::serve::session::{Browser, OpenError};

impl Front {
    /// Starts the app and waits until it answers a GET of its first page; `port`: where the bridge
    /// expects it, if there is one.
    pub async fn wait_until_ready(&self, limit: Duration, port: Option<u16>) -> Result<(), Error> {
        let answered = self.first_answer();
        let result = match tokio::time::timeout(limit, answered).await {
            Ok(result) => result,
            Err(_) => Err(Error::NeverAnswered {
                waited: limit,
                port,
                listening: self.grains.first.pid().and_then(Listening::of),
                tail: self.grains.first.log.tail(),
            }),
        };
        if let Err(error) = &result {
            // Whoever waits for an answer learns why there is none.
            self.failed.send_replace(Some(in_one_line(error)));
        }
        result
    }

    async fn first_answer(&self) -> Result<(), Error> {
        let browser = Browser {
            user_agent: concat!("spk/", env!("CARGO_PKG_VERSION")).into(),
            languages: values::languages(&http::HeaderMap::new()),
            address: None,
        };
        let session = self.session_of(self.user());
        let opened = match session.web(&browser).await {
            Ok(opened) => opened,
            Err(OpenError::Start(error)) => return Err(Error::shared(error)),
            Err(OpenError::Unknown(Unknown::Permission { name, known })) => {
                return Err(Error::UnknownPermission { name, known });
            }
            Err(OpenError::Unknown(Unknown::Role { name, known })) => {
                return Err(Error::UnknownRole { name, known });
            }
            Err(OpenError::App(error)) => return Err(self.refused(error).await),
        };
        let (stream, incoming) = spk_web_session::pair();
        let mut request = opened.web.get_request();
        request.get().set_path("");
        request.get().init_context().set_response_stream(stream);
        let answer = request.send().promise.await;
        drop(incoming);
        match answer {
            // Also an app that answers nonsense answers; the browser will show what it said.
            Ok(_) => Ok(()),
            Err(error) if error.kind != capnp::ErrorKind::Disconnected && opened.app.is_alive() => {
                self.notes.say(&format!("the app's first answer was an error: {}", plain(&error)));
                Ok(())
            }
            Err(error) => Err(self.refused(error).await),
        }
    }

    /// The app ended, or said no.
    async fn refused(&self, error: capnp::Error) -> Error {
        if error.kind == capnp::ErrorKind::Disconnected
            && let Ok(ended) = tokio::time::timeout(END_KNOWN, self.grains.first.app_ended()).await
        {
            return Error::AppEnded { ended, tail: self.grains.first.last_words().await };
        }
        Error::Refused { reason: plain(&error), tail: self.grains.first.log.tail() }
    }
}
