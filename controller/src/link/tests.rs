//! Which order goes over which connection.

use busyhour_base::Reason;
use busyhour_controller_core::spec::CallId;
use busyhour_protocol::v1;

use super::*;

const AGENT: AgentIx = AgentIx(3);

/// A connection as a session enters it.
fn enter(links: &Links, fence: u64) -> (mpsc::Receiver<Outgoing>, CancellationToken) {
    let (out, orders) = mpsc::channel(4);
    let cut = CancellationToken::new();
    let welcome = Message::Welcome(v1::Welcome { fence, ..Default::default() });
    links.enter(AGENT, fence, out, cut.clone(), welcome);
    (orders, cut)
}

fn dial(call: u64, fence: u64) -> Message {
    Message::Dial(v1::Dial { call, fence, ..Default::default() })
}

/// What waits for the agent, in words.
fn waiting(orders: &mut mpsc::Receiver<Outgoing>) -> Vec<String> {
    std::iter::from_fn(|| orders.try_recv().ok())
        .map(|order| match order {
            Ok(ToAgent { message: Some(Message::Welcome(w)) }) => format!("welcome {}", w.fence),
            Ok(ToAgent { message: Some(Message::Dial(d)) }) => format!("dial {}", d.call),
            Ok(ToAgent { message: Some(Message::HangUp(h)) }) => {
                format!("hang up {} under {}", h.call, h.fence)
            }
            Ok(other) => format!("{other:?}"),
            Err(status) => format!("end: {:?}", status.code()),
        })
        .collect()
}

#[test]
fn an_order_that_comes_before_its_connection_follows_the_welcome() {
    let links = Links::default();
    assert_eq!(links.send_dial(AGENT, 7, dial(1, 7)), Handed::Kept);
    let hang_up = link_hang_up(2);
    assert_eq!(links.send(AGENT, hang_up), Handed::Kept);
    let (mut orders, _) = enter(&links, 7);
    assert_eq!(waiting(&mut orders), ["welcome 7", "dial 1", "hang up 2 under 7"]);
    assert_eq!(links.send_dial(AGENT, 7, dial(3, 7)), Handed::Sent);
    assert_eq!(waiting(&mut orders), ["dial 3"]);
}

fn link_hang_up(call: u64) -> Message {
    hang_up(CallId(call), 1, Reason::CanceledByTenant)
}

/// RELIABILITY, invariant 4: an order under a lower fence is void; its call is settled by the hello that raised it.
#[test]
fn an_order_under_another_fence_is_not_handed_over() {
    let links = Links::default();
    links.send_dial(AGENT, 6, dial(1, 6));
    let (mut orders, _) = enter(&links, 7);
    assert_eq!(waiting(&mut orders), ["welcome 7"]);
    assert_eq!(links.send_dial(AGENT, 6, dial(2, 6)), Handed::Void);
    // The next connection is on its way: its orders wait for it, though this one is still there.
    assert_eq!(links.send_dial(AGENT, 8, dial(3, 8)), Handed::Kept);
    assert_eq!(waiting(&mut orders), [""; 0]);
    let (mut next, _) = enter(&links, 8);
    assert_eq!(waiting(&mut orders), ["end: Aborted"]);
    assert_eq!(waiting(&mut next), ["welcome 8", "dial 3"]);
    assert!(!links.leave(AGENT, 7), "it is not the present one any more");
    assert!(links.leave(AGENT, 8));
}

#[test]
fn an_agent_that_does_not_take_its_orders_is_cut_off() {
    let links = Links::default();
    let (_orders, cut) = enter(&links, 7);
    for call in 1..=3 {
        assert_eq!(links.send_dial(AGENT, 7, dial(call, 7)), Handed::Sent);
    }
    assert!(!cut.is_cancelled());
    assert_eq!(links.send_dial(AGENT, 7, dial(4, 7)), Handed::Void);
    assert!(cut.is_cancelled());
}

#[test]
fn what_is_kept_for_an_agent_is_bounded() {
    let links = Links::default();
    for call in 0..2 * EARLY_MAX as u64 {
        links.send(AGENT, link_hang_up(call));
    }
    let table = links.0.lock();
    let kept = &table.early[&AGENT];
    assert_eq!(kept.len(), EARLY_MAX);
    assert!(matches!(&kept[0].message, Message::HangUp(first) if first.call == EARLY_MAX as u64));
}
