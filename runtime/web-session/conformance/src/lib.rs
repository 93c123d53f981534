//! Rows of http-bridge §10 that concern the mapping of HTTP to a
//! `WebSession` on the calling side, as a table ([`Row`]), and the session behind them
//! ([`session`]). Whatever uses `spk-web-session` is to be driven through the whole table by its own
//! tests ([`for_each_row`]): the host's front end, the bridge's proxy.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test ends where something is wrong")]

pub mod client;
mod describe;
mod row;
pub mod rows;
pub mod session;

pub use row::Row;

/// Makes one test of each group of rows. `$run` takes the rows, `Vec<Row>`.
#[macro_export]
macro_rules! for_each_row {
    ($run:path) => {
        $crate::for_each_row! { @tests $run;
            heads::b01_b02_targets_arrive_unchanged
            heads::b23_b25_b26_qualities
            heads::b31_to_b33_headers
            heads::b38_to_b42_preconditions
            bodies::c01_to_c05_small_bodies
            bodies::c06_c07_c18_c22_long_and_chunked_bodies
            bodies::c08_c10_patch_and_delete
            bodies::c19_c20_sessions_without_streams
            dav::d01_to_d03_d12_d14_xml
            dav::d04_to_d08_destinations
            dav::d11_d13_d15_d18_other_methods
            dav::d16_d17_options
            statuses::s01_success
            statuses::s03_s04_no_content
            statuses::s05_s06_h32_redirects
            statuses::s09_to_s13_preconditions_that_failed
            statuses::s14_client_errors
            statuses::s17_s23_s24_native_sessions
            headers::h01_h06_h08_h10_of_content
            headers::h04_h05_listed_headers
            framing::f01_f02_answers_to_head
            framing::f03_f06_streams
            framing::f10_streams_cut_short
            framing::f14_failed_calls
        }
    };
    (@tests $run:path; $($group:ident::$name:ident)*) => {$(
        #[test]
        fn $name() {
            $run($crate::rows::$group::$name());
        }
    )*};
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_macro_names_every_group() {
        let listed = include_str!("lib.rs");
        for (group, text) in [
            ("heads", include_str!("rows/heads.rs")),
            ("bodies", include_str!("rows/bodies.rs")),
            ("dav", include_str!("rows/dav.rs")),
            ("statuses", include_str!("rows/statuses.rs")),
            ("headers", include_str!("rows/headers.rs")),
            ("framing", include_str!("rows/framing.rs")),
        ] {
            let names = text.lines().filter_map(|line| line.strip_prefix("pub fn "));
            let names: Vec<_> = names.filter_map(|line| line.split_once('(')).collect();
            assert!(!names.is_empty(), "{group}");
            for (name, _) in names {
                assert!(listed.contains(&format!(" {group}::{name}\n")), "{group}::{name}");
            }
        }
    }
}
