//! x
/// Which namespaces [`crate::Container::join_pid`] enters: a mask of CLONE_NEW* flags of namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceSet(pub u32);
impl NamespaceSet {
    /// Every kind that differs from the caller's.
    pub const ALL: Self = Self(0);
}
