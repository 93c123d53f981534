//! The kinds of sessions, by the IDs of their interfaces.

/// `sessionType` of sessions for browsers.
pub const WEB_SESSION: u64 = 0xa507_11a1_4d35_a8ce;
/// `sessionType` of sessions for programs, and the powerbox tag of HTTP APIs.
pub const API_SESSION: u64 = 0xc879_e379_c625_cdc7;
/// `sessionType` of sessions that take incoming mail.
pub const EMAIL_SESSION: u64 = 0xc3b5_ced7_344b_04a6;
