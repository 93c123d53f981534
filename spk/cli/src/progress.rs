//! The progress bar: on a terminal, for work that takes longer than a blink.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use spk_package::progress::{Progress, Stage};

use crate::ui::Ui;

/// No bar before this: most packages are done by then.
const PATIENCE: Duration = Duration::from_millis(400);

/// How many times a second the bar is drawn at most.
const RATE: u8 = 10;

/// A bar that draws itself on stderr, or does nothing where that is no terminal or should be quiet.
pub struct Bar {
    wanted: bool,
    started: Instant,
    stage: Option<(Stage, Option<u64>)>,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Bar {
    /// Draws only on a terminal, without `--quiet` and without `--json`.
    pub fn new(ui: &Ui) -> Bar {
        Bar {
            wanted: ui.shows_progress(),
            started: Instant::now(),
            stage: None,
            done: 0,
            bar: None,
        }
    }

    fn draw(&self, stage: Stage, total: Option<u64>) -> ProgressBar {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        let template = match total {
            Some(_) => "{msg:>9} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{msg:>9} {spinner} {bytes} {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(RATE));
        bar.set_message(match stage {
            Stage::Pack => "packing",
            Stage::Verify => "verifying",
            Stage::Unpack => "unpacking",
            Stage::Export => "exporting",
            Stage::ReadBack => "checking",
            Stage::Receive => "receiving",
            Stage::Restore => "restoring",
            Stage::Examine => "examining",
        });
        bar
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn stage(&mut self, what: Stage, total: Option<u64>) {
        self.clear();
        self.done = 0;
        self.stage = Some((what, total));
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if !self.wanted || self.started.elapsed() < PATIENCE {
            return;
        }
        if let (None, Some((stage, total))) = (&self.bar, self.stage) {
            self.bar = Some(self.draw(stage, total));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
    }

    fn watched(&self) -> bool {
        self.wanted
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}
