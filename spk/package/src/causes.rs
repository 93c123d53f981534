//! Errors and what lies behind them. A variant of an error says its own part only, and names its
//! cause as its source; where there is room for one line, the parts are put together here.

use std::error::Error;

/// What lies behind `error`, nearest first.
pub fn of<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// `error` and its causes as one line.
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    of(error).fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{archive, wire};

    #[test]
    fn every_part_is_said_once() {
        let io = std::io::Error::other("the disk is gone");
        let error = archive::read::Error::from(wire::Error::from(io));
        let expected = ["cannot read the message", "the disk is gone"];
        assert_eq!(of(&error).map(ToString::to_string).collect::<Vec<_>>(), expected);
        assert_eq!(
            in_one_line(&error),
            "the package's archive is damaged: cannot read the message: the disk is gone"
        );
        assert_eq!(in_one_line(&wire::Error::Bounds), wire::Error::Bounds.to_string());
    }
}
