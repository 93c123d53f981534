//! An input as a row of decisions.

/// What is left of the input; at its end everything is 0.
pub struct Choices<'a>(pub &'a [u8]);

impl<'a> Choices<'a> {
    /// Whether nothing is left to decide.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below `sides`, which is 1 to 256.
    pub fn roll(&mut self, sides: u32) -> u32 {
        u32::from(self.byte()) % sides
    }

    /// Whether something rare is to happen.
    pub fn rarely(&mut self) -> bool {
        self.byte() >= 0xf8
    }

    /// Up to 255 bytes.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// One of several, or the first.
    pub fn one_of<T: Copy>(&mut self, known: &[T]) -> Option<T> {
        let at = usize::from(self.byte()) % known.len().max(1);
        known.get(at).copied()
    }
}
