//! Type IDs of interfaces that the host tells apart.

/// `sessionType` of a browser session, and an interface's ID (http-bridge §3.2).
pub(crate) const WEB_SESSION: u64 = 0xa507_11a1_4d35_a8ce;

/// `sessionType` of a session of programs, and the powerbox tag of HTTP APIs.
pub(crate) const API_SESSION: u64 = 0xc879_e379_c625_cdc7;

/// The powerbox tag of identities.
pub(crate) const IDENTITY: u64 = 0xc084_987a_a951_dd18;

/// The powerbox tag of whole grains.
pub(crate) const UI_VIEW: u64 = 0xdbb4_d798_ea67_e2e7;

/// The powerbox tag of ports for mail.
pub(crate) const EMAIL_SEND_PORT: u64 = 0xec83_1dbf_4cc9_bcca;
