//! Whole jobs: in by AMQP, out by AMQP, with journal and checkpoints between.

use proto::protobuf::decode_tick;

use crate::desk::Desk;
use crate::rabbit::{Rabbit, rabbit, ticks};

/// A job that passes ticks on from one exchange to another; gives it with its queue and the queue
/// behind it.
fn through(rabbit: &Rabbit, more: &str) -> (Desk, String, String, String) {
    let (from, to) = (rabbit.own("in"), rabbit.own("out"));
    let (queue, behind) = (rabbit.own("queue"), rabbit.own("behind"));
    rabbit.exchange(&from);
    rabbit.exchange(&to);
    rabbit.queue(&behind, Some(&to), &[]);
    let url = &rabbit.url;
    let job = format!(
        "job: through\nstate: {{ journal: {{ sync: 10ms }} }}\nsources:\n  ticks: {{ type: amqp, url: \"{url}\", exchange: {from}, queue: \
         {queue}, binding: \"market.#\"{more} }}\nsinks:\n  out: {{ type: amqp, input: ticks, \
         url: \"{url}\", exchange: {to} }}\n"
    );
    (Desk::new(&job), from, queue, behind)
}

#[test]
fn every_tick_goes_through_once_also_over_a_restart() {
    let Some(rabbit) = rabbit() else { return };
    let (desk, from, queue, behind) = through(&rabbit, "");
    rabbit.queue(&queue, Some(&from), &[]);
    let expected = ticks(0..600);
    rabbit.publish(&from, &expected[..300]);
    let run = desk.start();
    let mut found = rabbit.take(&behind, 300);
    run.stop();
    assert_eq!(rabbit.waiting(&queue), 0, "all were acknowledged");
    rabbit.publish(&from, &expected[300..]);
    let run = desk.start();
    found.extend(rabbit.take(&behind, 300));
    let (report, _) = run.stop();
    assert!(rabbit.get(&behind).is_none(), "none came twice: {report}");
    let sort = |mut all: Vec<(String, Vec<u8>)>| {
        all.sort_by_key(|(_, body)| decode_tick(body).unwrap().sequence);
        all
    };
    let expected = expected.iter().map(|(key, _, body)| (key.clone(), body.clone())).collect();
    let key = |key: &brokers::amqp::lapin::types::ShortString| key.as_str().to_owned();
    let found = found.iter().map(|m| (key(&m.routing_key), m.data.clone())).collect();
    assert_eq!(sort(found), sort(expected), "the same keys and the same bytes");
}
