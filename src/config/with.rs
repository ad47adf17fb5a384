//! How plain data that may grow is written where it has no literal, which is everywhere outside this crate.

/// Gives structs a `with`.
macro_rules! with {
    ($($name:ident $(<$life:lifetime>)?),+) => {$(
        impl$(<$life>)? $name$(<$life>)? {
            /// The same with other values in some fields.
            ///
            /// ```
            /// let config = ctr::Config::default().with(|c| c.memory = Some(64 << 20));
            /// let smaller = config.with(|c| {
            ///     c.memory = Some(32 << 20);
            ///     c.pids = Some(20);
            /// });
            /// ```
            #[must_use]
            pub fn with(mut self, set: impl FnOnce(&mut Self)) -> Self {
                set(&mut self);
                self
            }
        }
    )+};
}
pub(crate) use with;
