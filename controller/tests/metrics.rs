//! `/metrics`: every decision by its reason, how long things took, and what carriers have available (MT-27).

mod common;

use std::net::SocketAddr;

use busyhour_base::{CallEvent, Reason};
use common::{
    House,
    agent::{completed, up},
    eventually, http,
};

/// The value of one series; none if it is not shown.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

fn rose(before: &str, now: &str, series: &str) -> f64 {
    value(now, series).unwrap_or_default() - value(before, series).unwrap_or_default()
}

async fn read(api: SocketAddr) -> String {
    let answer = http::ask(api, "GET", "/metrics", &[]).await;
    String::from_utf8(answer.body).expect("metrics are text")
}

#[tokio::test]
async fn mt_27_decisions_durations_and_availability_are_shown_in_metrics() {
    let (house, controller, mut agent) = up().await;
    let api = controller.ready.api;

    // Whoever watches for an increase must see a reason before its first time.
    let before = read(api).await;
    for metric in
        ["calls_started_total{held_by", "calls_ended_total{reason", "refused_total{reason"]
    {
        for reason in Reason::ALL {
            let series = format!("busyhour_{metric}=\"{}\"}}", reason.code());
            assert!(value(&before, &series).is_some(), "{series} is not shown");
        }
    }

    http::place(api, "+15551000001", &[]).await;
    let order = agent.dial().await;
    agent.report(&order, &[CallEvent::Sent, CallEvent::Ringing, CallEvent::Answered]).await;
    eventually("a channel in use is shown", || async {
        let series = "busyhour_carrier_channels{carrier=\"north\",use=\"in_use\"}";
        (value(&read(api).await, series)? == 1.0).then_some(())
    })
    .await;
    let now = read(api).await;
    let of = |series: &str| value(&now, series).unwrap_or_else(|| panic!("no {series} in\n{now}"));
    let uses = ["free", "reserved", "leased", "in_use", "quarantined", "activating", "inactive"];
    let channels = uses
        .map(|r#use| of(&format!("busyhour_carrier_channels{{carrier=\"north\",use=\"{use}\"}}")));
    assert_eq!(channels.iter().sum::<f64>(), 100.0, "{channels:?}");
    assert_eq!(of("busyhour_carrier_room_calls{carrier=\"north\",direction=\"outbound\"}"), 99.0);
    assert_eq!(of("busyhour_carrier_service_ports{carrier=\"north\"}"), 100.0);
    let limit = of("busyhour_carrier_setups_per_second_limit{carrier=\"north\"}");
    assert!((limit - 1_000.0 / 1.02).abs() < 0.5, "{limit}");
    assert_eq!(of("busyhour_group_free_channels{group=\"default\",part=\"lendable\"}"), 99.0);
    assert_eq!(of("busyhour_calls_in_progress"), 1.0);

    assert!(rose(&before, &now, "busyhour_calls_started_total{held_by=\"ready\"}") >= 1.0);
    assert!(rose(&before, &now, "busyhour_queue_wait_seconds_count") >= 1.0);
    assert!(of("busyhour_queue_wait_seconds_bucket{le=\"+Inf\"}") >= 1.0);

    let seq = agent.report(&order, &[CallEvent::Ended(completed())]).await;
    agent.acknowledged(seq).await;
    eventually("the end is counted with what it took", || async {
        let now = read(api).await;
        let ended = "busyhour_calls_ended_total{reason=\"completed\"}";
        let counts =
            [ended, "busyhour_call_duration_seconds_count", "busyhour_answer_delay_seconds_count"];
        counts.iter().all(|series| rose(&before, &now, series) >= 1.0).then_some(())
    })
    .await;
    // What is said of a call that is over is counted, and changes nothing.
    let strays = "busyhour_unused_total{reason=\"stray_report\",of=\"calls\"}";
    let before_it = read(api).await;
    agent.report(&order, &[CallEvent::Answered]).await;
    eventually("a stray report is shown by its reason", || async {
        (rose(&before_it, &read(api).await, strays) == 1.0).then_some(())
    })
    .await;
    assert_eq!(
        value(&before_it, "busyhour_unused_total{reason=\"clock_back\",of=\"time\"}"),
        Some(0.0)
    );
    refused_by_its_reason(&house, api, &before).await;
    controller.stop().await;
}

/// One call may wait, and none starts any more; nor is there a carrier called north.
async fn refused_by_its_reason(house: &House, api: SocketAddr, before: &str) {
    let narrow = common::DECLARATION.replace("name: north", "name: south").replace(
        "allowedDestinations: [\"+\"]",
        "allowedDestinations: [\"+\"]\n  queue: {maxCalls: 1}\n  throttle: {spacing: 1d}",
    );
    house.declare("all.yaml", &narrow);
    eventually("a carrier that is gone has nothing", || async {
        let now = read(api).await;
        let uses = ["free", "in_use"];
        let gone = uses.map(|r#use| {
            value(&now, &format!("busyhour_carrier_channels{{carrier=\"north\",use=\"{use}\"}}"))
        });
        (gone == [Some(0.0); 2]).then_some(())
    })
    .await;
    let refused = eventually("a refusal", || async {
        let path = format!("/2010-04-01/Accounts/{}/Calls.json", common::ACCOUNT);
        let form = [("To", "+15551000002"), ("From", "+15550100001"), ("Url", "http://a.example/")];
        let answer = http::ask(api, "POST", &path, &form).await;
        (answer.status == 400).then(|| answer.json())
    })
    .await;
    assert_eq!(refused["code"], 22005, "{refused}");
    assert!(rose(before, &read(api).await, "busyhour_refused_total{reason=\"queue_full\"}") >= 1.0);
}
