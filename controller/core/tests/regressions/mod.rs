//! Histories on which the machine and the model once disagreed, shrunk.

use crate::{
    both::{
        Action::{self, *},
        Both,
    },
    model::declared::Plan,
};

fn follow(routes: [u8; 3], actions: &[Action]) {
    let mut both = Both::new(routes);
    for action in actions {
        both.act(action);
    }
    both.finish();
}

/// A carrier is left with an inbound-only channel while two outbound calls are still up over it.
#[test]
fn mt_11_a_call_that_no_channel_could_take_did_not_wait_for_a_service_port() {
    follow(
        [24, 100, 0],
        &[
            Submit { tenant: 2, count: 3, urgency: 0, begins: 0, lasts: 0, of: 0 },
            Submit { tenant: 1, count: 2, urgency: 0, begins: 0, lasts: 0, of: 0 },
            Run { ms: 681, late_us: 0 },
            Declare {
                plan: Plan { carriers: [78, 3, 111, 0, 0, 74, 46, 0, 84, 0], ..Plan::default() },
                routes: false,
            },
            End { which: 1703469821896041561, how: 4 },
            Offer { tenant: 1, carrier: 2, agent: 0, rings: 2 },
            Say { carrier: 2, active: 0, reserve: 0, margin: 0 },
            Run { ms: 0, late_us: 0 },
            End { which: 7551921403615221381, how: 6 },
            End { which: 1363723505934555420, how: 1 },
            GiveUp { which: 0 },
            Run { ms: 2501, late_us: 0 },
            End { which: 211782445146239672, how: 7 },
        ],
    );
}

/// The routes change at the instant at which a batch is started.
#[test]
fn dc_3_a_line_that_goes_over_another_route_as_its_batch_begins_was_held_by_nothing() {
    follow(
        [0, 0, 0],
        &[
            Declare { plan: Plan::default(), routes: false },
            Declare { plan: Plan::default(), routes: false },
            Say { carrier: 0, active: 0, reserve: 0, margin: 0 },
            Batch { tenant: 2, count: 1, pace: [0, 0, 12, 0], begins: 0, lasts: 0, start: false },
            Run { ms: 0, late_us: 0 },
            Declare {
                plan: Plan {
                    tenants: [
                        [0, 0, 0, 0, 0, 0],
                        [0, 0, 0, 0, 0, 0],
                        [0, 0, 1, 52, 196, 233],
                        [102, 169, 253, 215, 122, 101],
                    ],
                    carriers: [29, 135, 36, 228, 72, 67, 226, 25, 215, 33],
                    order: 206,
                    floors: 65,
                    texts: [22, 210, 93, 14, 64, 161, 0],
                },
                routes: false,
            },
            Declare {
                plan: Plan {
                    tenants: [
                        [12, 64, 148, 122, 73, 1],
                        [252, 44, 104, 124, 35, 119],
                        [166, 163, 108, 211, 33, 201],
                        [243, 0, 142, 238, 33, 164],
                    ],
                    carriers: [67, 196, 162, 35, 55, 158, 202, 49, 166, 120],
                    order: 180,
                    floors: 57,
                    texts: [99, 123, 152, 190, 95, 121, 0],
                },
                routes: true,
            },
            Steer { which: 1403999775628713220, how: 1 },
        ],
    );
}

/// A queue of the third tenant stands while a more urgent one uses up their number's cap; its tenant keeps the place.
#[test]
fn mt_4_a_tenant_may_stand_for_a_queue_that_another_of_its_queues_stopped() {
    follow(
        [0; 3],
        &[
            Texts { tenant: 1, count: 4, of: 0, begins: 0, lasts: 0 },
            Declare {
                plan: Plan { texts: [0, 0, 0, 112, 0, 30, 0], ..Plan::default() },
                routes: false,
            },
            Batch { tenant: 1, count: 1, pace: [0, 0, 0, 83], begins: 13, lasts: 78, start: true },
            Run { ms: 2710, late_us: 83888 },
            Run { ms: 886, late_us: 0 },
            Texts { tenant: 2, count: 3, of: 13, begins: 17, lasts: 37 },
            Answer { which: 5676648450344802984, how: 4 },
            Run { ms: 2224, late_us: 0 },
            Answer { which: 4801160184514657224, how: 6 },
            Texts { tenant: 3, count: 3, of: 156, begins: 22, lasts: 30 },
            Texts { tenant: 2, count: 4, of: 229, begins: 22, lasts: 24 },
            Declare {
                plan: Plan {
                    tenants: [
                        [162, 149, 88, 147, 119, 236],
                        [29, 85, 125, 149, 154, 181],
                        [213, 199, 91, 99, 239, 12],
                        [78, 175, 184, 165, 253, 137],
                    ],
                    carriers: [52, 107, 61, 18, 152, 245, 97, 183, 107, 241],
                    order: 123,
                    floors: 7,
                    texts: [28, 246, 122, 19, 167, 236, 0],
                },
                routes: false,
            },
            Run { ms: 140, late_us: 0 },
            Texts { tenant: 3, count: 4, of: 207, begins: 25, lasts: 30 },
            Run { ms: 1913, late_us: 78862 },
            Answer { which: 2134048458178297110, how: 1 },
            Run { ms: 1826, late_us: 0 },
            Texts { tenant: 3, count: 2, of: 25, begins: 14, lasts: 21 },
            Answer { which: 8132458843998253757, how: 1 },
            Texts { tenant: 2, count: 3, of: 174, begins: 6, lasts: 9 },
        ],
    );
}

/// An application's throttle is lifted while that of a number holds the same queue.
#[test]
fn mt_4_a_tenant_may_stand_for_a_queue_whose_other_limit_was_lifted() {
    follow(
        [2, 0, 12],
        &[
            Declare {
                plan: Plan {
                    tenants: [
                        [0, 0, 0, 0, 0, 83],
                        [0, 0, 0, 0, 0, 0],
                        [0, 12, 51, 0, 0, 98],
                        [0, 0, 0, 0, 0, 0],
                    ],
                    carriers: [1, 0, 0, 0, 0, 63, 29, 0, 0, 0],
                    order: 156,
                    floors: 0,
                    texts: [0, 0, 0, 0, 0, 0, 0],
                },
                routes: false,
            },
            Submit { tenant: 3, count: 3, urgency: 0, begins: 0, lasts: 0, of: 12 },
            Run { ms: 460, late_us: 0 },
            Offer { tenant: 1, carrier: 2, agent: 0, rings: 1 },
            End { which: 0, how: 0 },
            Submit { tenant: 3, count: 2, urgency: 0, begins: 0, lasts: 0, of: 64 },
            End { which: 0, how: 0 },
            Declare {
                plan: Plan {
                    tenants: [
                        [0, 0, 0, 0, 0, 85],
                        [0, 0, 0, 0, 0, 125],
                        [30, 0, 192, 0, 0, 83],
                        [0, 0, 0, 0, 0, 0],
                    ],
                    carriers: [1, 1, 0, 0, 4, 26, 205, 0, 0, 12],
                    order: 61,
                    floors: 0,
                    texts: [0, 0, 0, 0, 0, 0, 0],
                },
                routes: false,
            },
            Run { ms: 322, late_us: 0 },
            End { which: 7705662581804721980, how: 0 },
        ],
    );
}

/// Two queues of a tenant wait at a full carrier; the hours of the first one's batch end before the other has been looked at.
#[test]
fn mt_2_a_queue_behind_a_batch_whose_hours_ended_waited_for_its_carrier() {
    follow(
        [0; 3],
        &[
            TextBatch {
                tenant: 4,
                count: 3,
                pace: [18, 191, 43, 0],
                begins: 0,
                lasts: 0,
                start: true,
            },
            Texts { tenant: 4, count: 1, of: 178, begins: 28, lasts: 0 },
            Run { ms: 1448, late_us: 0 },
            Run { ms: 2422, late_us: 0 },
            Declare {
                plan: Plan { texts: [0, 0, 4, 2, 0, 0, 0], ..Plan::default() },
                routes: false,
            },
            Run { ms: 1495, late_us: 0 },
            Run { ms: 2636, late_us: 0 },
            Stop { ms: 2000 },
        ],
    );
}

/// A message that no cap had room for expires, and the recipient of the next one of its tenant has said STOP.
#[test]
fn mt_2_a_turn_that_came_to_nothing_behind_a_message_that_expired_was_as_of_the_entry() {
    follow(
        [0; 3],
        &[
            Texts { tenant: 2, count: 1, of: 33, begins: 21, lasts: 0 },
            Declare {
                plan: Plan { texts: [0, 93, 51, 5, 0, 39, 0], ..Plan::default() },
                routes: false,
            },
            Texts { tenant: 2, count: 3, of: 101, begins: 0, lasts: 0 },
            Say { carrier: 0, active: 0, reserve: 0, margin: 0 },
            OptOuts { tenant: 2, changes: [32, 16, 128] },
            Answer { which: 0, how: 1 },
            Offer { tenant: 1, carrier: 2, agent: 1, rings: 9 },
            Run { ms: 1569, late_us: 8283 },
            Run { ms: 1181, late_us: 0 },
            TextBatch {
                tenant: 2,
                count: 1,
                pace: [100, 89, 156, 229],
                begins: 3,
                lasts: 43,
                start: true,
            },
            Run { ms: 2491, late_us: 0 },
            Stop { ms: 514773 },
            Texts { tenant: 1, count: 1, of: 215, begins: 5, lasts: 1 },
        ],
    );
}

/// A cap is lifted and the routes change at one instant, while the pace of a batch holds the same queue.
#[test]
fn mt_4_a_tenant_may_stand_for_a_queue_that_goes_over_another_route_as_its_limit_is_lifted() {
    follow(
        [8, 0, 0],
        &[
            Declare {
                plan: Plan {
                    tenants: [
                        [0, 0, 0, 0, 0, 0],
                        [0, 0, 0, 0, 0, 0],
                        [0, 0, 0, 0, 0, 0],
                        [0, 19, 0, 0, 0, 0],
                    ],
                    carriers: [1, 8, 9, 0, 8, 4, 1, 0, 0, 0],
                    order: 0,
                    floors: 0,
                    texts: [0, 0, 0, 0, 0, 0, 0],
                },
                routes: false,
            },
            Batch { tenant: 4, count: 3, pace: [16, 39, 0, 0], begins: 0, lasts: 0, start: true },
            Stop { ms: 0 },
            Run { ms: 712, late_us: 0 },
            Declare {
                plan: Plan {
                    tenants: [
                        [0, 0, 0, 0, 0, 0],
                        [0, 0, 0, 0, 0, 91],
                        [0, 0, 0, 0, 0, 127],
                        [156, 20, 0, 0, 0, 0],
                    ],
                    carriers: [6, 57, 7, 0, 0, 55, 2, 0, 10, 0],
                    order: 5,
                    floors: 0,
                    texts: [0, 0, 0, 0, 0, 0, 0],
                },
                routes: true,
            },
            Say { carrier: 0, active: 0, reserve: 2, margin: 0 },
            Tell { which: 0, how: 0, ago_us: 0 },
            End { which: 4038295670984, how: 4 },
            Run { ms: 2035, late_us: 76141 },
            Run { ms: 2223, late_us: 43551 },
        ],
    );
}

/// A limit is lifted at the instant from which lines of batches do not stand apart any more.
#[test]
fn mt_4_a_tenant_may_stand_for_a_line_of_a_batch_that_stood_apart_until_its_limit_was_lifted() {
    follow(
        [8, 0, 39],
        &[
            Batch { tenant: 1, count: 3, pace: [7, 90, 76, 0], begins: 0, lasts: 0, start: true },
            Submit { tenant: 1, count: 3, urgency: 0, begins: 0, lasts: 0, of: 1 },
            Submit { tenant: 1, count: 1, urgency: 0, begins: 0, lasts: 0, of: 1 },
            GiveUp { which: 0 },
            Submit { tenant: 3, count: 1, urgency: 0, begins: 0, lasts: 0, of: 0 },
            Run { ms: 1157, late_us: 0 },
            Offer { tenant: 1, carrier: 1, agent: 0, rings: 1 },
            Say { carrier: 2, active: 0, reserve: 0, margin: 0 },
            GiveUp { which: 0 },
            End { which: 12279264571618665227, how: 0 },
            End { which: 3092562585520090935, how: 0 },
            Declare {
                plan: Plan {
                    tenants: [
                        [0, 219, 0, 0, 0, 0],
                        [0, 11, 195, 251, 227, 130],
                        [18, 255, 245, 47, 137, 214],
                        [0, 191, 249, 142, 43, 252],
                    ],
                    carriers: [123, 67, 101, 73, 16, 152, 228, 209, 49, 64],
                    order: 232,
                    floors: 29,
                    texts: [127, 108, 109, 59, 111, 80, 0],
                },
                routes: false,
            },
            Run { ms: 2526, late_us: 0 },
            End { which: 120886952743091647, how: 3 },
            End { which: 8987058253630598253, how: 9 },
            Run { ms: 2400, late_us: 61960 },
            End { which: 352512169538749337, how: 4 },
            End { which: 2527815509682435326, how: 2 },
            End { which: 12386910464729444898, how: 0 },
            Declare {
                plan: Plan {
                    tenants: [
                        [162, 233, 209, 68, 6, 220],
                        [183, 136, 142, 221, 175, 203],
                        [100, 52, 51, 53, 61, 13],
                        [43, 98, 23, 227, 186, 247],
                    ],
                    carriers: [230, 160, 114, 117, 133, 94, 103, 24, 86, 65],
                    order: 18,
                    floors: 203,
                    texts: [227, 95, 22, 103, 144, 60, 0],
                },
                routes: false,
            },
        ],
    );
}

/// Two messages of a queue expire at one instant: a throttle held the first, and the other one would have been too long for a cap.
#[test]
fn mt_2_what_is_behind_two_that_expire_may_have_waited_for_a_cap_behind_the_second() {
    follow(
        [0; 3],
        &[
            Texts { tenant: 4, count: 3, of: 229, begins: 0, lasts: 43 },
            Arrive { tenant: 4, brings: [0, 0, 1, 0] },
            Asked { which: 1095186754628965947, how: 5 },
            Stop { ms: 3001 },
        ],
    );
}
