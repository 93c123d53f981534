//! The key of the shell: the printed address hands it to the page, which keeps it where a page of
//! another port does not get to, and sends it in a header. Nothing that browsers send by themselves
//! opens anything: cookies go to every port of a host, also to another user's.

use http::Uri;
use subtle::ConstantTimeEq;

use crate::serve::front::Front;

/// What opens the shell.
pub(super) fn key(front: &Front) -> String {
    front.derive("shell key")
}

/// The address that is printed.
pub(super) fn address(front: &Front) -> String {
    format!("{}/?token={}", front.shell_origin(), key(front))
}

/// The key, if the address has it.
pub(super) fn given(front: &Front, uri: &Uri) -> Option<String> {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    let given = parameters.find_map(|parameter| parameter.strip_prefix("token="))?;
    let key = key(front);
    same(given.as_bytes(), key.as_bytes()).then_some(key)
}

/// Compares without stopping at the first difference.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
