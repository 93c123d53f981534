//! The front end as a user of `spk-web-session`: the rows that hold for each of them, as an app sees
//! what a browser asks.

use spk_web_session_conformance::{Row, for_each_row};

use super::*;

fn through_the_front_end(rows: Vec<Row>) {
    for row in rows {
        let launches = Launches::new(row.script());
        launches.streams.set(row.streaming());
        let launcher = launches.launcher();
        let served = run_launcher(
            launches,
            launcher,
            |_| {},
            |host| async move {
                let base = format!("http://{}", host.host);
                let mut client = host.connect().await;
                row.check(&host.launches.seen, &mut client, &base, "", "").await;
            },
        );
        served.unwrap();
    }
}

for_each_row!(through_the_front_end);
