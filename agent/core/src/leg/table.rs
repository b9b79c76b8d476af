//! The SIP side of a leg as one transition table (RFC 3261 sections 9, 13, 15, 17.1.1 and 17.2.1).
//!
//! What is not in the table is ignored: a response that repeats itself, a message that crosses one of ours.
//! The table is printed by a test and compared with `table.txt`, so that a change of behaviour shows as a
//! change of that file.

/// Where a leg's signalling stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Ordered, not begun.
    New,
    /// The INVITE was asked for; whether a byte of it left is not known yet.
    Sending,
    /// The INVITE is on its way; no response yet.
    Calling,
    /// 1xx other than ringing.
    Proceeding,
    /// 180 or 183.
    Ringing,
    /// To be cancelled, but no provisional response permits it yet (RFC 3261 section 9.1).
    CancelOwed,
    /// CANCEL sent, the INVITE's final response is awaited.
    Canceling,
    /// Inbound: the number's document is being had, to see whether the call is to be answered. The caller hears it ring.
    Deciding,
    /// Inbound: the 200 was asked for; its ACK is awaited.
    Answering,
    /// Answered: the document session runs.
    Up,
    /// BYE sent.
    Closing,
    /// Over.
    Over,
}

/// What moves a leg's signalling: inputs and timers without their data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum On {
    Start,
    Accept,
    NeedsAnswer,
    Rejected,
    Sent,
    Trying,
    Ringing,
    Answered,
    Refused,
    NotSent,
    Silent,
    FarHangUp,
    Confirmed,
    Unconfirmed,
    MediaLost,
    HangUp,
    DocumentOver,
    RingTimeout,
    TimeLimit,
    GivenUp,
}

/// What is done on the way from one phase to the next, in the order of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Ask for the INVITE and start the ring timer.
    Invite,
    /// Begin the document session of a call that is not answered yet, and start the ring timer.
    Decide,
    /// Ask for the 200 to the far end's INVITE.
    Accept,
    /// Ask for a final failure to the far end's INVITE.
    Refuse,
    /// Ask for CANCEL.
    Cancel,
    /// Ask for BYE.
    Bye,
    /// Stop waiting for the far end some time.
    Guard,
    /// Report that the INVITE is out, unless that was said.
    TellSent,
    /// Report ringing.
    TellRinging,
    /// Report the answer.
    TellAnswered,
    /// Note when it was answered.
    Answer,
    /// Start the document session and the time limit.
    Begin,
    /// Go on with the document session of a call that is answered now, and start the time limit.
    Resume,
    /// End the document session.
    Silence,
    /// Report that nothing was sent.
    GiveBack,
    /// Report the end, confirmed by the carrier.
    Finish,
    /// Report the end, which the carrier has not confirmed.
    FinishInDoubt,
}

/// One row: in `from`, on `on`, go to `to` and do `steps`.
#[derive(Debug)]
pub(super) struct Transition {
    pub from: Phase,
    pub on: On,
    pub to: Phase,
    pub steps: &'static [Step],
}

macro_rules! table {
    ($($from:ident { $($on:ident => $to:ident [$($step:ident)*])* })*) => {
        &[$($(Transition {
            from: Phase::$from,
            on: On::$on,
            to: Phase::$to,
            steps: &[$(Step::$step),*],
        },)*)*]
    };
}

pub(super) const TABLE: &[Transition] = table! {
    New {
        Start       => Sending    [Invite]
        Accept      => Deciding   [Decide]
        NotSent     => Over       [GiveBack]
        HangUp      => Over       [Finish]
    }
    Sending {
        Sent        => Calling    [TellSent]
        Trying      => Proceeding [TellSent]
        Ringing     => Ringing    [TellSent TellRinging]
        Answered    => Up         [TellSent Answer TellAnswered Begin]
        Refused     => Over       [TellSent Finish]
        NotSent     => Over       [GiveBack]
        Silent      => Over       [TellSent FinishInDoubt]
        HangUp      => CancelOwed [Guard]
        RingTimeout => CancelOwed [Guard]
    }
    Calling {
        Trying      => Proceeding []
        Ringing     => Ringing    [TellRinging]
        Answered    => Up         [Answer TellAnswered Begin]
        Refused     => Over       [Finish]
        Silent      => Over       [FinishInDoubt]
        HangUp      => CancelOwed [Guard]
        RingTimeout => CancelOwed [Guard]
    }
    Proceeding {
        Ringing     => Ringing    [TellRinging]
        Answered    => Up         [Answer TellAnswered Begin]
        Refused     => Over       [Finish]
        Silent      => Over       [FinishInDoubt]
        HangUp      => Canceling  [Cancel Guard]
        RingTimeout => Canceling  [Cancel Guard]
    }
    Ringing {
        Answered    => Up         [Answer TellAnswered Begin]
        Refused     => Over       [Finish]
        Silent      => Over       [FinishInDoubt]
        HangUp      => Canceling  [Cancel Guard]
        RingTimeout => Canceling  [Cancel Guard]
    }
    CancelOwed {
        Sent        => CancelOwed [TellSent]
        Trying      => Canceling  [TellSent Cancel Guard]
        Ringing     => Canceling  [TellSent Cancel Guard]
        Answered    => Closing    [TellSent Answer Bye Guard]
        Refused     => Over       [TellSent Finish]
        NotSent     => Over       [Finish]
        Silent      => Over       [TellSent FinishInDoubt]
        Confirmed   => Over       [TellSent Finish]
        Unconfirmed => Over       [TellSent FinishInDoubt]
        GivenUp     => Over       [TellSent FinishInDoubt]
    }
    Canceling {
        Answered    => Closing    [Answer Bye Guard]
        Refused     => Over       [Finish]
        Silent      => Over       [FinishInDoubt]
        Confirmed   => Over       [Finish]
        Unconfirmed => Over       [FinishInDoubt]
        GivenUp     => Over       [FinishInDoubt]
    }
    Deciding {
        NeedsAnswer => Answering  [Accept]
        RingTimeout => Answering  [Accept]
        Rejected    => Over       [Silence Refuse Finish]
        FarHangUp   => Over       [Silence Finish]
        NotSent     => Over       [Silence GiveBack]
        HangUp      => Over       [Silence Refuse Finish]
    }
    Answering {
        Answered    => Up         [Answer TellAnswered Resume]
        Rejected    => Closing    [Silence Bye Guard]
        FarHangUp   => Over       [Silence Finish]
        NotSent     => Over       [Silence GiveBack]
        Silent      => Closing    [Silence Guard]
        HangUp      => Closing    [Silence Bye Guard]
        GivenUp     => Closing    [Silence Bye Guard]
    }
    Up {
        FarHangUp   => Over       [Silence Finish]
        Confirmed   => Over       [Silence Finish]
        Unconfirmed => Over       [Silence FinishInDoubt]
        MediaLost   => Closing    [Silence Bye Guard]
        HangUp      => Closing    [Silence Bye Guard]
        TimeLimit   => Closing    [Silence Bye Guard]
        DocumentOver => Closing    [Silence Bye Guard]
    }
    Closing {
        FarHangUp   => Over       [Finish]
        Confirmed   => Over       [Finish]
        Unconfirmed => Over       [FinishInDoubt]
        GivenUp     => Over       [FinishInDoubt]
    }
};

/// The row for an event, or `None` if it means nothing now.
pub(super) fn row(from: Phase, on: On) -> Option<&'static Transition> {
    TABLE.iter().find(|row| row.from == from && row.on == on)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fmt::Write};

    use super::*;

    fn print() -> String {
        let mut text = String::new();
        for row in TABLE {
            let from = format!("{:?}", row.from);
            let on = format!("{:?}", row.on);
            let to = format!("{:?}", row.to);
            let _ = writeln!(text, "{from:<11}{on:<13}-> {to:<11}{:?}", row.steps);
        }
        text
    }

    #[test]
    fn the_table_is_the_one_that_was_reviewed() {
        assert_eq!(
            print(),
            include_str!("table.txt"),
            "the transition table changed: review it and replace table.txt by the left side"
        );
    }

    #[test]
    fn no_event_has_two_rows_in_a_phase() {
        let mut seen = HashSet::new();
        for row in TABLE {
            assert!(seen.insert(format!("{:?} {:?}", row.from, row.on)), "{row:?}");
        }
    }

    #[test]
    fn every_way_over_reports_exactly_one_end_and_no_other_way_does() {
        for row in TABLE {
            let ends = row
                .steps
                .iter()
                .filter(|step| matches!(step, Step::GiveBack | Step::Finish | Step::FinishInDoubt))
                .count();
            assert_eq!(ends, usize::from(row.to == Phase::Over), "{row:?}");
            assert_ne!(row.from, Phase::Over, "{row:?}");
        }
    }

    #[test]
    fn the_invite_is_sent_from_the_start_only_and_a_cancel_after_a_provisional_response_only() {
        for row in TABLE {
            if row.steps.contains(&Step::Invite) {
                assert_eq!(row.from, Phase::New);
            }
            if row.steps.contains(&Step::Cancel) {
                assert!(
                    matches!(row.from, Phase::Proceeding | Phase::Ringing)
                        || matches!(row.on, On::Trying | On::Ringing),
                    "{row:?}"
                );
            }
        }
    }

    #[test]
    fn every_phase_that_waits_for_the_far_end_can_be_left_without_it() {
        let left_by = |phase, on| row(phase, on).is_some();
        for phase in
            [Phase::Sending, Phase::Calling, Phase::Proceeding, Phase::Ringing, Phase::Deciding]
        {
            assert!(left_by(phase, On::RingTimeout), "{phase:?}");
        }
        for phase in [Phase::CancelOwed, Phase::Canceling, Phase::Answering, Phase::Closing] {
            assert!(left_by(phase, On::GivenUp), "{phase:?}");
        }
        assert!(left_by(Phase::Up, On::TimeLimit));
    }
}
