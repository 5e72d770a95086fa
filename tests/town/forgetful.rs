//! Forgetful: a topic that is read back with less in it than was written.

use std::time::Duration;

use bugle::broker::{BrokerError, Follow, Incoming};

/// A topic that holds nothing in any of so many partitions.
pub(crate) struct Nothing(pub(crate) usize);

impl Follow for Nothing {
    fn poll(&mut self, _: Duration, _: &mut Vec<Incoming>) -> Result<(), BrokerError> {
        Ok(())
    }

    fn positions(&self) -> Vec<i64> {
        vec![0; self.0]
    }

    fn ends(&mut self) -> Result<Vec<i64>, BrokerError> {
        Ok(vec![0; self.0])
    }

    fn is_settled(&mut self) -> Result<bool, BrokerError> {
        Ok(true)
    }
}
