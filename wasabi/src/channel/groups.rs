//! The setting `groups`.

use super::Channel;
use crate::Kept;

impl<S, B, P, C, D> Channel<S, B, P, C, D> {
    /// `groups`: the groups whose messages are kept for a while; none by default. [`Kept`] has an example.
    ///
    /// What is declared of a group is the first entry that its name begins with. An entry that no group reaches, because
    /// an earlier one takes them all, is a mistake; so is a [`cluster`](crate::Cluster) whose engine keeps nothing.
    #[must_use]
    pub fn groups(mut self, groups: impl IntoIterator<Item = Kept>) -> Self {
        for kept in groups {
            let mistakes = kept.mistakes().as_slice();
            self.declared.mistakes.extend_from_slice(mistakes);
            let mut before = self.declared.kept.iter();
            if let Some(earlier) = before.find(|earlier| earlier.keeps(kept.name())) {
                let mistake = format!(
                    "`groups` has `{}` after `{}`, which takes all of its groups; change the order",
                    kept.name(),
                    earlier.name()
                );
                self.declared.mistakes.push(mistake);
            }
            self.declared.kept.push(kept);
        }
        self
    }
}
