//! Why something was decided. Every refusal, delay and ending carries one, and the API, events,
//! `explain` and metrics all show the same word (`DESIGN.md`, invariants).

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $code:literal $message:literal;)*) => {
        /// Why a request waits, was refused, or ended as it did.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Reason {$(
            $(#[$doc])*
            #[doc = $message]
            $name,
        )*}

        impl Reason {
            /// Every reason there is, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable word for machines: the label in metrics, the value in JSON.
            pub const fn code(self) -> &'static str {
                match self {$(Self::$name => $code,)*}
            }

            /// One sentence for people.
            pub const fn message(self) -> &'static str {
                match self {$(Self::$name => $message,)*}
            }

            /// The reason that [`Reason::code`] gives this word to.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.code() == code)
            }
        }
    };
}

reasons! {
    // Nothing binds.
    Ready "ready" "Nothing holds it: it starts now.";
    // Waiting.
    Throttle "throttle" "The tenant's throttle spaces its requests.";
    ApplicationThrottle "application_throttle" "The application's throttle spaces its requests.";
    NumberThrottle "number_throttle" "The number's throttle spaces its requests.";
    BatchThrottle "batch_throttle" "The batch's own pacing spaces its requests.";
    Cap "cap" "A cap on requests in a window is used up.";
    ApplicationCap "application_cap" "A cap on the application's requests in a window is used up.";
    NumberCap "number_cap" "A cap on the number's requests in a window is used up.";
    BatchConcurrency "batch_concurrency" "The batch has as many calls in progress as it allows.";
    CarrierChannels "carrier_channels" "Every channel of the carrier is in use.";
    CarrierRate "carrier_rate" "The carrier's calls per second are used up.";
    ServicePorts "service_ports" "The bound on outbound requests in service is reached.";
    TenantChannels "tenant_channels" "The tenant has as many channels as it may at most.";
    ChannelsKept "channels_kept" "The free channels are kept for what other tenants are guaranteed, or are expected to use and do not lend.";
    ChannelsReserved "channels_reserved" "The free channels are held for inbound calls.";
    ChannelsInactive "channels_inactive" "Every active channel of the carrier is in use; it has others that are not allocated or not active yet.";
    Workers "workers" "No worker with room is connected.";
    Poppers "poppers" "As many requests as are taken out of the queues at one instant have been taken; it is among the next.";
    FairTurn "fair_turn" "It waits for its turn among the tenants.";
    NotBefore "not_before" "Its scheduled time has not come.";
    Window "window" "The batch's calling window is closed.";
    BatchStarting "batch_starting" "The batch was started or resumed just now, and its first request is about to start.";
    Retry "retry" "It waits for its next attempt.";
    Paused "paused" "The batch is paused.";
    Draft "draft" "The batch has not been started.";
    Suspended "suspended" "The tenant is suspended.";
    ApplicationAsked "application_asked" "The application is being asked about as many inbound messages as it is at once.";
    NoCarrier "no_carrier" "No declared carrier can take it.";
    RecordsBehind "records_behind" "The store of records is behind, so nothing new is started.";
    // Refused before acceptance.
    QueueFull "queue_full" "The tenant's queue holds as many requests as it may.";
    QueueBytes "queue_bytes" "The parameters of the tenant's calls take as many bytes as they may.";
    WaitTooLong "wait_too_long" "It could not start within the tenant's longest wait.";
    CapRefused "cap_refused" "A cap is used up and the tenant's policy is to refuse.";
    SegmentsOverCap "segments_over_cap" "It has more segments than a cap of its tenant or its number ever lets through.";
    UnknownTenant "unknown_tenant" "There is no such tenant.";
    UnknownCall "unknown_call" "There is no such call.";
    UnknownMessage "unknown_message" "There is no such message.";
    UnknownNumber "unknown_number" "There is no such number, or nothing answers it.";
    OptedOut "opted_out" "The recipient has said STOP to this number and takes no messages from it.";
    OptOutsFull "opt_outs_full" "No more people can be kept who take no messages.";
    TextsFull "texts_full" "The store of message texts is full.";
    UnknownBatch "unknown_batch" "There is no such batch.";
    UnknownScope "unknown_scope" "There is no such application or number of this tenant.";
    WrongState "wrong_state" "What was asked does not fit the present state.";
    Duplicate "duplicate" "The same request was accepted before.";
    UploadOffset "upload_offset" "The part does not begin where the upload stands.";
    TooLarge "too_large" "It exceeds a declared bound.";
    Overcommitted "overcommitted" "The channels that tenants are guaranteed would be more than those that are active.";
    CarrierGroups "carrier_groups" "Carriers that serve a destination in common are of different groups.";
    CarrierUndeclared "carrier_undeclared" "There is no declared carrier of this name.";
    // Ended.
    Completed "completed" "The call was answered and ended.";
    Busy "busy" "The called party was busy.";
    NoAnswer "no_answer" "Nobody answered in time.";
    Rejected "rejected" "The carrier or the called party refused the call.";
    CarriersExhausted "carriers_exhausted" "Every carrier that could take it refused it for reasons of its own.";
    CarrierFailure "carrier_failure" "The carrier could not complete the call.";
    Expired "expired" "It was not started before its expiry.";
    CanceledByTenant "canceled_by_tenant" "The tenant canceled it.";
    BatchCanceled "batch_canceled" "Its batch was canceled.";
    TimeLimit "time_limit" "The call reached its time limit.";
    MediaLost "media_lost" "The far end's audio stopped and the call was ended.";
    InDoubtAgentLost "in_doubt_agent_lost" "The agent that dialled it was lost, so whether it rang is unknown; it is not dialled again.";
    InDoubtJournalLost "in_doubt_journal_lost" "The agent's journal was lost, so whether it rang is unknown; it is not dialled again.";
    InDoubtAgentRestarted "in_doubt_agent_restarted" "The agent was killed while the call was up; it is not dialled again.";
    // Messages ended.
    Sent "sent" "The carrier took the message and sends no delivery reports.";
    Delivered "delivered" "The message is on the recipient's handset.";
    Received "received" "The message came in and the application was asked.";
    NoApplication "no_application" "The message came in, and its number has no application to be asked about it.";
    NoDeliveryReport "no_delivery_report" "The carrier took the message, and no delivery report came in time.";
    UnreachableHandset "unreachable_handset" "The recipient's handset is off or out of reach.";
    UnknownHandset "unknown_handset" "The recipient's number is unknown or no longer in service.";
    MessageBlocked "message_blocked" "The recipient or the carrier does not take messages from this number.";
    MessageFiltered "message_filtered" "The carrier took the message for spam.";
    MessageRejected "message_rejected" "The carrier did not take the message.";
    InDoubtNoAnswer "in_doubt_no_answer" "The carrier did not answer, so whether it took the message is unknown; it is not sent again.";
    InDoubtRestart "in_doubt_restart" "The controller ended before the carrier's answer was durable, so whether it took the message is unknown; it is not sent again.";
    // An agent or a connection.
    Fenced "fenced" "The agent's fence is older than the order's.";
    LeaseExpired "lease_expired" "The order reached the agent too late to be sent.";
    AgentFull "agent_full" "The agent has no slot left.";
    AgentDraining "agent_draining" "The agent is draining.";
    LinkLost "link_lost" "The agent's link to the controller was lost before the call was answered.";
    // What came in and is not used.
    StrayReport "stray_report" "It fits nothing in progress: what it speaks of is over or unknown, or it was said before.";
    ClockBack "clock_back" "The clock went back; until it is where it was, everything happens at that instant.";
    // Inbound calls.
    UnknownCarrier "unknown_carrier" "It came from an address that no declared carrier calls in from.";
    CallerGaveUp "caller_gave_up" "The caller hung up before the call was answered.";
    RejectedByApplication "rejected_by_application" "The number's application rejected the call before it was answered.";
    // Documents and webhooks.
    DocumentFailed "document_failed" "No instructions could be had from the application or its fallback.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_is_explained_in_the_guide() {
        let guide = include_str!("../../docs/guide/errors.md");
        for reason in Reason::ALL {
            let row = format!("| `{reason}` | {} |", reason.message());
            assert!(guide.contains(&row), "docs/guide/errors.md has no row {row}");
        }
    }

    #[test]
    fn every_code_is_one_of_a_kind_and_leads_back() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
            assert!(reason.message().ends_with('.'));
        }
    }
}
