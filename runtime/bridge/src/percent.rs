//! Percent-encoding as the original has it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// What percent-encoding leaves as it is: letters, digits and `-_.!~*'()`.
pub const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
