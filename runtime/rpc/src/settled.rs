//! Capabilities once it is known what they are.

use capnp::Error;
use capnp::capability::Client;
use capnp::private::capability::ClientHook;

/// How far a capability is followed that became another one.
const RESOLUTIONS: usize = 64;

/// What a capability turns out to be; waits until that is known, which may be for ever.
///
/// # Errors
/// When it turns out to be nothing, or leads from promise to promise.
pub async fn settled(client: Client) -> Result<Box<dyn ClientHook>, Error> {
    client.hook.when_resolved().await?;
    let mut hook = client.hook;
    for _ in 0..RESOLUTIONS {
        match hook.get_resolved() {
            Some(resolved) => hook = resolved,
            None => return Ok(hook),
        }
    }
    Err(Error::failed("the capability leads from promise to promise".into()))
}
