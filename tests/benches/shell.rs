//! First paint of the shell's list with 1,000 grains, in headless Chromium.
//!
//! `cargo bench -p spk-tests --bench shell`. Prints, for each of several loads of the page, when the
//! first contents were painted, when the first 40 grains were in the page, and when all were, in
//! milliseconds since the navigation began.
#![allow(clippy::unwrap_used)]

use std::fs;

use spk_tests::bins::ok;
use spk_tests::guest::{self, PLAIN};
use spk_tests::{Browser, Server, Who};

const GRAINS: usize = 1000;
const LOADS: usize = 7;

fn main() {
    let Some(browser) = Browser::start("bench shell", 1280, 900, false) else { return };
    let stage = guest::stage(Who::User);
    guest::pack(&stage, &PLAIN, "guest.spk");
    let id = ok(stage.spk().args(["grain", "new", "guest.spk", "--title", "grain 0"]));
    let id = id.trim();
    let grains = stage.state().join("grains");
    let meta = fs::read_to_string(grains.join(id).join("grain.json")).unwrap();
    for number in 1..GRAINS {
        let other = grains.join(format!("{number:04}{}", &id[4..]));
        fs::create_dir_all(other.join("sandbox")).unwrap();
        fs::write(other.join("log"), "").unwrap();
        let meta = meta.replace("grain 0", &format!("grain {number}"));
        fs::write(other.join("grain.json"), meta).unwrap();
    }
    stage.who.own(&grains);
    let server = Server::start(stage.spk().args(["grain", "open", id]));
    let url = server.field("url");
    browser.go(&url);
    let all = format!("document.querySelectorAll('.grain').length === {GRAINS}");
    browser.wait(&all);
    println!("load  first paint  first grains  all grains");
    let mut paints = Vec::new();
    for load in 1..=LOADS {
        browser.go("about:blank");
        browser.go(url.split("?token").next().unwrap());
        browser.wait(&all);
        let times = browser.run(
            "const paint = performance.getEntriesByName('first-contentful-paint')[0]?.startTime; \
             const at = (name) => performance.getEntriesByName(name)[0]?.startTime; \
             return [paint, at('grains-first'), at('grains-all')]",
        );
        let time = |index: usize| times[index].as_f64().unwrap_or(f64::NAN);
        println!("{load:4} {:11.0} {:13.0} {:11.0}", time(0), time(1), time(2));
        paints.push(time(0));
    }
    paints.sort_by(f64::total_cmp);
    println!("median first paint: {:.0} ms with {GRAINS} grains (aim: 200 ms)", paints[LOADS / 2]);
    server.stop();
}
