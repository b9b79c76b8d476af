use busyhour_base::{Direction, Instructions, StatusEvents};
use proptest::prelude::*;

use super::*;
use crate::spec::NewCall;

fn new(to: u64, from: u8, custom_id: Option<u8>, document: &str) -> NewCall {
    let custom_id = custom_id.map(|id| format!("line-{id}").into());
    NewCall {
        custom_id,
        ..NewCall::of(Arc::new(CallSpec {
            to: format!("+1555{to:07}"),
            from: format!("+1555000{from:04}"),
            instructions: Instructions::Document(document.to_owned()),
            fallback: None,
            status_callback: None,
            status_events: StatusEvents::default(),
            send_digits: None,
            ring_timeout: Span::from_secs(60),
            time_limit: Span::from_secs(14_400),
            direction: Direction::OutboundApi,
        }))
    }
}

fn assert_as(requests: &Requests, model: &BTreeMap<u64, (NewCall, u32, u64, u64)>) {
    assert_eq!(requests.len(), model.len());
    for (number, (new, lane, at, wait)) in model {
        let id = requests.find(CallId(*number)).expect("it is there");
        assert_eq!(requests.call(id), CallId(*number));
        assert_eq!(requests.lane(id), *lane);
        assert_eq!(requests.accepted_at(id), Timestamp(*at));
        assert_eq!(requests.wait(id), Span::from_millis(*wait));
        assert_eq!(requests.spec(id), new.spec);
        assert_eq!(requests.custom_id(id), new.custom_id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against an ordered map, over a copy of its bytes, and with memory bounded by what is there.
    #[test]
    fn requests_are_as_they_were_put_in(
        steps in prop::collection::vec(
            (0u8..8, any::<(u64, u8)>(), prop::option::of(any::<u8>()), 0usize..400, 0u64..100_000, any::<prop::sample::Index>()),
            0..400,
        ),
    ) {
        let (mut requests, mut model) = (Requests::default(), BTreeMap::new());
        let (mut number, mut at) = (0, 1_700_000_000_000_000);
        for (step, (to, from), custom_id, length, passes, which) in steps {
            at += passes;
            if step < 6 {
                // Refused requests leave no gap in the numbers.
                number += 1;
                let lane = u32::from(from % 5);
                let document = if step < 3 { "<Response/>".to_owned() } else { "x".repeat(length * 40) };
                let new = new(to % 10_000_000, from % 3, custom_id, &document);
                let wait = passes * 7;
                let id = requests.insert(CallId(number), (lane, lane == 0), (&new).into(), at, Span::from_millis(wait));
                if step == 5 {
                    requests.set_stage(id, Stage::Live(3));
                    prop_assert_eq!(requests.begin_attempt(id), 1);
                }
                model.insert(number, (new, lane, at, wait));
            } else {
                for _ in 0..6.min(model.len()) {
                    let gone = *model.keys().nth(which.index(model.len())).unwrap();
                    requests.remove(requests.find(CallId(gone)).unwrap());
                    model.remove(&gone);
                    prop_assert_eq!(requests.find(CallId(gone)), None);
                }
            }
        }
        assert_as(&requests, &model);
        let (held, used) = requests.arena.bytes();
        prop_assert!(held <= 2 * used + 4 * (1 << 18), "{held} bytes held for {used}");
        let (bytes, mut tables) = (postcard::to_stdvec(&requests).unwrap(), Vec::new());
        requests.write_tables(&mut tables).unwrap();
        let mut back: Requests = postcard::from_bytes(&bytes).unwrap();
        back.read_tables(&mut tables.as_slice()).unwrap();
        assert_as(&back, &model);
        prop_assert_eq!(postcard::to_stdvec(&back).unwrap(), bytes);
        let numbers: Vec<_> = model.keys().copied().collect();
        for number in numbers {
            requests.remove(requests.find(CallId(number)).unwrap());
        }
        prop_assert!(requests.directory.is_empty() && requests.asides.is_empty());
        // What lanes stand on stays until they go.
        (0..5).for_each(|lane| requests.forget_lane(lane));
        prop_assert_eq!(requests.specs.len(), 0);
    }
}

#[test]
fn lines_of_a_batch_share_what_they_have_in_common() {
    let mut requests = Requests::default();
    let document = "<Response><Say>Good day to everyone</Say></Response>".repeat(4);
    for number in 1..=10_000 {
        let new = new(number, 1, None, &document);
        requests.insert(CallId(number), (0, true), (&new).into(), 1_000 + number, Span::ZERO);
    }
    let (held, _) = requests.arena.bytes();
    assert!(held < 10_000 * 14, "{held} bytes for 10,000 lines");
    assert_eq!(requests.specs.len(), 1);
}

#[test]
fn a_few_that_stay_do_not_keep_the_memory_of_many_that_left() {
    let mut requests = Requests::default();
    let document = "y".repeat(300);
    for number in 1..=40_000 {
        let mut new = new(number, 1, None, &document);
        Arc::make_mut(&mut new.spec).from = format!("sip:{number}");
        requests.insert(CallId(number), (0, false), (&new).into(), 1_000, Span::ZERO);
    }
    for number in (1..=40_000).filter(|number| number % 100 != 0) {
        requests.remove(requests.find(CallId(number)).unwrap());
    }
    let (held, used) = requests.arena.bytes();
    assert_eq!(requests.len(), 400);
    assert!(held <= 2 * used + 3 * (1 << 18), "{held} bytes held for {used}");
    let id = requests.find(CallId(300)).unwrap();
    assert_eq!(requests.spec(id).to, "+15550000300");
    assert_eq!(requests.spec(id).from, "sip:300");
}
