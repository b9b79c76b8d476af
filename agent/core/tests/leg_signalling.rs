//! How a leg's signalling ends, message by message, crossings included (issue "Agent"; RELIABILITY, faults).

mod common;

use busyhour_agent_core::leg::{Action, FetchError, GUARD, Input, Phase, Request, Token};
use busyhour_base::{CallEvent, Direction, Outcome, Reason, Span, StatusEvents};
use common::{Driver, order, param, webhook};

fn ringing() -> Driver {
    let mut driver = Driver::new(order());
    assert_eq!(driver.give(Input::Start), [Action::Invite]);
    assert_eq!(driver.give(Input::Sent), [Action::Report(CallEvent::Sent)]);
    assert_eq!(driver.give(Input::Provisional(100)), []);
    assert_eq!(driver.give(Input::Provisional(180)), [Action::Report(CallEvent::Ringing)]);
    driver
}

#[track_caller]
fn assert_ended(driver: &Driver, outcome: Outcome, reason: Reason, sip_code: u16, confirmed: bool) {
    let ending = driver.ending();
    assert_eq!(
        (ending.outcome, ending.reason, ending.sip_code, ending.confirmed),
        (outcome, reason, sip_code, confirmed)
    );
    assert_eq!(driver.all.last(), Some(&Action::End));
    assert_eq!(driver.leg.phase(), Phase::Over);
    assert_eq!(driver.leg.wake_at(), None);
}

#[test]
fn final_failures_get_the_fields_words() {
    for (status, outcome, reason) in [
        (486, Outcome::Busy, Reason::Busy),
        (600, Outcome::Busy, Reason::Busy),
        (480, Outcome::NoAnswer, Reason::NoAnswer),
        (408, Outcome::NoAnswer, Reason::NoAnswer),
        (404, Outcome::Failed, Reason::Rejected),
        (503, Outcome::Failed, Reason::CarrierFailure),
    ] {
        let mut driver = ringing();
        driver.pass(Span::from_secs(7));
        driver.give(Input::Refused(status));
        assert_ended(&driver, outcome, reason, status, true);
        assert_eq!(driver.ending().ring, Span::from_secs(7));
        assert_eq!(driver.ending().talk, Span::ZERO);
    }
}

#[test]
fn a_refusal_without_any_provisional_response_is_a_call_that_was_sent() {
    let mut driver = Driver::new(order());
    driver.give(Input::Start);
    driver.give(Input::Refused(486));
    assert!(matches!(driver.events()[..], [CallEvent::Sent, CallEvent::Ended(_)]));
}

#[test]
fn ringing_out_is_no_answer() {
    let mut driver = ringing();
    assert_eq!(driver.wake(), [Action::Cancel]);
    assert_eq!(driver.now, common::T0 + Span::from_secs(30));
    driver.give(Input::Refused(487));
    assert_ended(&driver, Outcome::NoAnswer, Reason::NoAnswer, 487, true);
}

#[test]
fn a_tenants_cancel_is_canceled() {
    let mut driver = ringing();
    assert_eq!(driver.give(Input::HangUp(Reason::CanceledByTenant)), [Action::Cancel]);
    assert_eq!(driver.give(Input::HangUp(Reason::BatchCanceled)), []);
    driver.give(Input::Refused(487));
    assert_ended(&driver, Outcome::Canceled, Reason::CanceledByTenant, 487, true);
}

#[test]
fn no_cancel_leaves_before_a_provisional_response() {
    let mut driver = Driver::new(order());
    driver.give(Input::Start);
    driver.give(Input::Sent);
    assert_eq!(driver.give(Input::HangUp(Reason::CanceledByTenant)), []);
    assert_eq!(driver.give(Input::Provisional(100)), [Action::Cancel]);
    driver.give(Input::Refused(487));
    assert_ended(&driver, Outcome::Canceled, Reason::CanceledByTenant, 487, true);
}

#[test]
fn an_answer_that_crosses_cancel_is_hung_up_and_keeps_its_cause() {
    for (cause, outcome, reason) in [
        (None, Outcome::NoAnswer, Reason::NoAnswer),
        (
            Some(Input::HangUp(Reason::CanceledByTenant)),
            Outcome::Canceled,
            Reason::CanceledByTenant,
        ),
    ] {
        let mut driver = ringing();
        match cause {
            Some(input) => driver.give(input),
            None => driver.wake(),
        };
        assert_eq!(driver.give(Input::Answered), [Action::Bye]);
        driver.pass(Span::from_secs(2));
        driver.give(Input::Closed { confirmed: true });
        assert_ended(&driver, outcome, reason, 200, true);
        assert_eq!(driver.ending().talk, Span::from_secs(2));
        assert!(!driver.events().contains(&&CallEvent::Answered));
    }
}

#[test]
fn silence_is_in_doubt() {
    let mut driver = ringing();
    driver.give(Input::Silent);
    assert_ended(&driver, Outcome::Failed, Reason::CarrierFailure, 0, false);
}

#[test]
fn an_unanswered_cancel_is_in_doubt() {
    let mut driver = ringing();
    driver.wake();
    let canceled = driver.now;
    driver.wake();
    assert_eq!(driver.now, canceled + GUARD);
    assert_ended(&driver, Outcome::NoAnswer, Reason::NoAnswer, 0, false);
}

#[test]
fn a_lost_bye_is_not_confirmed() {
    for given_up_by_the_shell in [true, false] {
        let (mut driver, _) = Driver::answered(order());
        assert!(driver.give(Input::HangUp(Reason::CanceledByTenant)).contains(&Action::Bye));
        if given_up_by_the_shell {
            driver.give(Input::Closed { confirmed: false });
        } else {
            driver.wake();
        }
        assert_ended(&driver, Outcome::Completed, Reason::CanceledByTenant, 200, false);
    }
}

#[test]
fn byes_that_cross_end_the_call_once() {
    let (mut driver, _) = Driver::answered(order());
    driver.give(Input::MediaLost);
    driver.give(Input::FarHangUp);
    driver.give(Input::Closed { confirmed: true });
    assert_ended(&driver, Outcome::Completed, Reason::MediaLost, 200, true);
    assert_eq!(driver.all.iter().filter(|action| **action == Action::End).count(), 1);
}

#[test]
fn the_time_limit_ends_a_call_that_would_play_for_ever() {
    let (mut driver, actions) =
        Driver::running(r#"<Response><Say loop="0">on and on</Say></Response>"#);
    let answered = driver.now;
    let token = common::prepare(&actions);
    driver.prepared(token, Span::from_secs(5));
    while driver.leg.phase() == Phase::Up {
        driver.pass(Span::from_secs(5));
        driver.give(Input::Played { token });
        driver.give(Input::Timer);
    }
    assert_eq!(driver.now, answered + Span::from_secs(600));
    driver.give(Input::Closed { confirmed: true });
    assert_ended(&driver, Outcome::Completed, Reason::TimeLimit, 200, true);
}

#[test]
fn a_far_hang_up_completes_the_call() {
    let (mut driver, _) = Driver::answered(order());
    driver.pass(Span::from_millis(12_400));
    driver.give(Input::Digit('7'));
    driver.give(Input::Digit('x'));
    driver.give(Input::FarHangUp);
    assert_ended(&driver, Outcome::Completed, Reason::Completed, 200, true);
    assert_eq!(driver.ending().ring, Span::from_secs(3));
    assert_eq!(driver.ending().talk, Span::from_millis(12_400));
    assert_eq!(driver.ending().digits, "7");
}

#[test]
fn what_was_never_sent_goes_back_and_is_told_to_nobody_else() {
    let mut order = order();
    order.spec.status_callback = Some(webhook("http://app/status"));
    for started in [false, true] {
        let mut driver = Driver::new(order.clone());
        if started {
            driver.give(Input::Start);
        }
        let actions = driver.give(Input::NotSent(Reason::LeaseExpired));
        let not_sent = CallEvent::NotSent(Reason::LeaseExpired);
        assert_eq!(actions, [Action::Report(not_sent), Action::End]);
    }
}

#[test]
fn not_sent_is_not_believed_once_something_was() {
    let mut driver = Driver::new(order());
    driver.give(Input::Start);
    driver.give(Input::Sent);
    driver.give(Input::NotSent(Reason::AgentFull));
    assert_ended(&driver, Outcome::Failed, Reason::CarrierFailure, 0, false);
}

#[test]
fn a_call_canceled_before_it_started_ends_without_an_invite() {
    let mut driver = Driver::new(order());
    driver.give(Input::HangUp(Reason::CanceledByTenant));
    assert_ended(&driver, Outcome::Canceled, Reason::CanceledByTenant, 0, true);
    assert_eq!(driver.give(Input::Start), []);
}

/// WIRE: status callbacks with their parameters, numbered from 0, for the chosen events only.
#[test]
fn status_callbacks_tell_the_calls_progress() {
    let mut order = order();
    order.spec.status_callback = Some(webhook("http://app/status?to={To}"));
    order.spec.status_events =
        StatusEvents { initiated: true, ringing: true, answered: true, completed: true };
    let (mut driver, _) = Driver::answered(order);
    driver.pass(Span::from_secs(9));
    driver.give(Input::FarHangUp);
    let told: Vec<_> = driver
        .callbacks()
        .into_iter()
        .map(|request| {
            assert_eq!(request.url, "http://app/status?to=%2B15550100");
            assert_eq!(param(request, "CallbackSource"), Some("call-progress-events"));
            assert_eq!(param(request, "ApiVersion"), Some("2010-04-01"));
            assert_eq!(param(request, "Direction"), Some("outbound-api"));
            assert_eq!(param(request, "To"), Some("+15550100"));
            (
                param(request, "CallStatus").unwrap(),
                param(request, "SequenceNumber").unwrap(),
                param(request, "CallDuration"),
                param(request, "SipResponseCode"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("initiated", "0", None, None),
            ("ringing", "1", None, None),
            ("in-progress", "2", None, None),
            ("completed", "3", Some("9"), Some("200")),
        ]
    );
    let first = driver.callbacks()[0];
    assert_eq!(param(first, "Timestamp"), Some("Tue, 10 Mar 2026 12:00:00 +0000"));
}

#[test]
fn only_chosen_events_are_told_and_every_final_status_counts_as_completed() {
    let mut order = order();
    order.spec.status_callback = Some(webhook("http://app/status"));
    let mut driver = Driver::new(order);
    driver.give(Input::Start);
    driver.give(Input::Provisional(183));
    driver.give(Input::Refused(486));
    let callbacks = driver.callbacks();
    assert_eq!(callbacks.len(), 1);
    assert_eq!(param(callbacks[0], "CallStatus"), Some("busy"));
    assert_eq!(param(callbacks[0], "SequenceNumber"), Some("0"));
}

/// A call that a carrier began, whose document is asked for, and that request.
fn deciding() -> (Driver, Token, Request) {
    let mut order = order();
    order.spec.direction = Direction::Inbound;
    order.spec.ring_timeout = Span::from_secs(10);
    let mut driver = Driver::new(order);
    let actions = driver.give(Input::Start);
    let (token, request) = common::fetch(&actions);
    assert_eq!(actions.last(), Some(&Action::Ring), "{actions:?}");
    (driver, token, request)
}

/// A call that a carrier began, whose 200 was asked for.
fn answering() -> Driver {
    let (mut driver, token, _) = deciding();
    let body = "<Response><Say>Hello.</Say></Response>";
    assert_eq!(driver.document(token, "http://app/first.xml", body), [Action::Answer]);
    driver
}

#[test]
fn an_inbound_call_is_answered_once_and_its_document_begins_with_the_ack() {
    let (_, _, request) = deciding();
    assert_eq!(param(&request, "Direction"), Some("inbound"));
    assert_eq!(param(&request, "CallStatus"), Some("ringing"));
    let mut driver = answering();
    let actions = driver.give(Input::Answered);
    assert_eq!(actions[0], Action::Report(CallEvent::Answered));
    common::prepare(&actions);
    driver.pass(Span::from_secs(4));
    driver.give(Input::FarHangUp);
    assert_ended(&driver, Outcome::Completed, Reason::Completed, 200, true);
    assert_eq!(driver.ending().talk, Span::from_secs(4));
}

/// `WIRE.md`, Reject: as the first verb it keeps the call from being answered, in the field's words for both reasons.
#[test]
fn sp_5_a_call_whose_document_begins_with_reject_is_never_answered() {
    for (verb, status, outcome) in [
        ("<Reject/>", 603, Outcome::NoAnswer),
        ("<Reject reason='busy'/><Say>never</Say>", 486, Outcome::Busy),
    ] {
        let (mut driver, token, _) = deciding();
        driver.pass(Span::from_secs(1));
        let body = format!("<Response>{verb}</Response>");
        let actions = driver.document(token, "http://app/first.xml", &body);
        let reason = Reason::RejectedByApplication;
        assert_eq!(actions[0], Action::Refuse { status, reason });
        assert_ended(&driver, outcome, reason, status, true);
        assert_eq!((driver.ending().talk, driver.ending().ring), (Span::ZERO, Span::from_secs(1)));
        assert!(!driver.all.contains(&Action::Answer));
    }
}

#[test]
fn redirects_and_pauses_are_followed_while_it_rings_and_may_lead_to_a_reject() {
    let (mut driver, token, _) = deciding();
    let body = "<Response><Pause length='2'/><Redirect>second.xml</Redirect></Response>";
    assert_eq!(driver.document(token, "http://app/first.xml", body), []);
    let (token, request) = common::fetch(&driver.wake());
    assert_eq!(request.url, "http://app/second.xml");
    assert_eq!(param(&request, "CallStatus"), Some("ringing"));
    driver.document(token, "http://app/second.xml", "<Response><Reject/></Response>");
    assert_ended(&driver, Outcome::NoAnswer, Reason::RejectedByApplication, 603, true);
}

/// The ring is bounded (MT-9): an application that does not say in time whether to answer has the call answered, and goes on
/// with it.
#[test]
fn mt_9_a_caller_who_has_rung_long_enough_is_answered_before_the_document_comes() {
    let (mut driver, token, _) = deciding();
    driver.pass(Span::from_secs(10));
    assert_eq!(driver.give(Input::Timer), [Action::Answer]);
    let rejected = "<Response><Reject/></Response>";
    let mut late = deciding();
    late.0.pass(Span::from_secs(10));
    late.0.give(Input::Timer);
    let actions = late.0.document(late.1, "http://app/first.xml", rejected);
    assert_eq!(actions, [Action::Bye], "too late to refuse");
    assert_eq!(driver.give(Input::Answered), [Action::Report(CallEvent::Answered)]);
    let body = "<Response><Say>Hello.</Say></Response>";
    common::prepare(&driver.document(token, "http://app/first.xml", body));
}

#[test]
fn whoever_ends_a_call_before_its_answer_ends_it_without_one() {
    let (mut driver, token, _) = deciding();
    let reason = Reason::CanceledByTenant;
    let actions = driver.give(Input::HangUp(reason));
    assert_eq!(actions[0], Action::Refuse { status: 480, reason });
    assert_ended(&driver, Outcome::Canceled, reason, 480, true);
    assert_eq!(driver.document(token, "http://app/first.xml", "<Response/>"), []);
    let (mut driver, ..) = deciding();
    driver.give(Input::FarHangUp);
    assert_ended(&driver, Outcome::NoAnswer, Reason::CallerGaveUp, 0, true);
    assert_eq!(driver.leg.wake_at(), None);
}

#[test]
fn without_a_document_an_inbound_call_is_answered_to_hear_that_we_are_sorry() {
    let (mut driver, token, _) = deciding();
    let result = Err(FetchError::Status(500));
    let actions = driver.give(Input::Fetched { token, result });
    assert_eq!(actions.last(), Some(&Action::Answer));
    common::prepare(&driver.give(Input::Answered));
}

#[test]
fn an_inbound_call_without_an_ack_ends_as_its_bye_does() {
    for confirmed in [true, false] {
        let mut driver = answering();
        assert_eq!(driver.give(Input::Silent), [], "the shell says BYE by itself");
        driver.give(Input::Closed { confirmed });
        assert_ended(&driver, Outcome::Failed, Reason::CarrierFailure, 0, confirmed);
    }
    let mut driver = answering();
    driver.give(Input::Silent);
    driver.wake();
    assert_ended(&driver, Outcome::Failed, Reason::CarrierFailure, 0, false);
}

#[test]
fn a_caller_who_gave_up_before_the_answer_left_is_no_completed_call() {
    let mut driver = answering();
    driver.give(Input::FarHangUp);
    assert_ended(&driver, Outcome::NoAnswer, Reason::CallerGaveUp, 0, true);
    let mut driver = answering();
    assert_eq!(driver.give(Input::HangUp(Reason::CanceledByTenant)), [Action::Bye]);
    driver.give(Input::Closed { confirmed: true });
    assert_ended(&driver, Outcome::Canceled, Reason::CanceledByTenant, 0, true);
}
