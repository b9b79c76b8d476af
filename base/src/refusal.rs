//! What a carrier is told when a call that it offers is refused.

use crate::Reason;

/// Seconds after which a carrier may offer again what was refused for want of capacity.
const RETRY_AFTER_S: u32 = 5;

/// The final status of SIP for a reason, and with 503 after how many seconds the carrier may try again, else 0 (RFC 3261,
/// 21.4 and 21.5.4): the number does not exist, the called party is busy (its tenant has as many calls as it may), or we
/// have no capacity.
pub const fn refusal(reason: Reason) -> (u16, u32) {
    match reason {
        Reason::UnknownNumber | Reason::UnknownTenant => (404, 0),
        Reason::Suspended | Reason::CanceledByTenant => (480, 0),
        Reason::TenantChannels => (486, 0),
        Reason::UnknownCarrier => (403, 0),
        _ => (503, RETRY_AFTER_S),
    }
}
