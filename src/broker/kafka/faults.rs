//! Faults: what an error of the client library means for a transaction, and in our own words.
//!
//! The library's advice is followed in the order it gives it: abort, try again, else give the producer up.
//! What it does not flag counts as fatal: nobody knows then what the cluster has done.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::super::BrokerError;

/// What is left to do after a transactional call has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The same call with the same arguments may work in a moment.
    Again,
    /// Roll the transaction back.
    RollBack,
    /// The producer is of no use any more.
    GiveUp,
}

/// The way out of a failed transactional call.
pub(super) fn way_out(error: &KafkaError) -> Way {
    match error {
        KafkaError::Transaction(error) if error.txn_requires_abort() => Way::RollBack,
        KafkaError::Transaction(error) if error.is_retriable() => Way::Again,
        // The crate flushes before it commits and reports that without any flag: nothing was committed.
        KafkaError::Flush(_) => Way::RollBack,
        _ => Way::GiveUp,
    }
}

/// The way out of a record that was not taken, or not delivered.
pub(super) fn way_out_of_delivery(code: RDKafkaErrorCode) -> Way {
    use RDKafkaErrorCode as Code;
    match code {
        Code::QueueFull => Way::Again,
        Code::Fatal
        | Code::Fenced
        | Code::State
        | Code::InvalidProducerEpoch
        | Code::OutOfOrderSequenceNumber => Way::GiveUp,
        _ => Way::RollBack,
    }
}

/// Whether a reader's error is only news about connections, which the library mends by itself.
pub(super) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::PollExceeded
            | Code::RebalanceInProgress
            | Code::OffsetNotAvailable
            | Code::NetworkException
    )
}

/// The cluster cannot be reached, or will not do it.
pub(super) fn unavailable(brokers: &str, error: &KafkaError) -> BrokerError {
    BrokerError::Unavailable { brokers: brokers.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use RDKafkaErrorCode as Code;

    use super::*;

    /// What has no flag nor a place here is rolled back where a record failed, and gives the producer up where
    /// a transactional call did: in doubt nothing is committed. What a real cluster answers to the end of a
    /// transaction, and what comes of it, is in `tests/broker/traps.rs`.
    #[test]
    fn every_error_has_one_way_out() {
        let of_delivery = [
            (Code::QueueFull, Way::Again),
            (Code::Fatal, Way::GiveUp),
            (Code::Fenced, Way::GiveUp),
            (Code::State, Way::GiveUp),
            (Code::InvalidProducerEpoch, Way::GiveUp),
            (Code::OutOfOrderSequenceNumber, Way::GiveUp),
            (Code::MessageTimedOut, Way::RollBack),
            (Code::MessageSizeTooLarge, Way::RollBack),
            (Code::NotEnoughReplicas, Way::RollBack),
            (Code::NotEnoughReplicasAfterAppend, Way::RollBack),
            (Code::KafkaStorageError, Way::RollBack),
            (Code::TopicAuthorizationFailed, Way::RollBack),
            (Code::UnknownTopicOrPartition, Way::RollBack),
            (Code::InvalidTimestamp, Way::RollBack),
            (Code::PurgeQueue, Way::RollBack),
            (Code::PurgeInflight, Way::RollBack),
        ];
        for (code, way) in of_delivery {
            assert_eq!(way_out_of_delivery(code), way, "{code:?}");
        }
        let unflagged = [
            (KafkaError::Flush(Code::OperationTimedOut), Way::RollBack),
            (KafkaError::Global(Code::Fatal), Way::GiveUp),
            (KafkaError::Canceled, Way::GiveUp),
        ];
        for (error, way) in unflagged {
            assert_eq!(way_out(&error), way, "{error:?}");
        }
        let of_reading =
            [Code::BrokerTransportFailure, Code::AllBrokersDown, Code::NotCoordinator, Code::PollExceeded];
        assert!(of_reading.into_iter().all(is_passing));
        let never =
            [Code::AutoOffsetReset, Code::FencedInstanceId, Code::GroupAuthorizationFailed, Code::BadMessage];
        assert!(!never.into_iter().any(is_passing));
    }
}
