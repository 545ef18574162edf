use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, advance};

use super::log::{Limits, Log, Messages, Missed};
use super::{Here, History, subject};
use crate::{
    Kept, Message, Position, Registry,
    cluster::{envelope::seal, feed::Entry},
    connection::registry::{
        address::NodeId,
        elsewhere::{Parcel, Place},
    },
    testing::connection,
};

const MINUTE: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits {
    size: 5,
    ttl: MINUTE,
};

fn log() -> Log {
    Log::new(10 * MINUTE)
}

fn at(number: u64) -> Position {
    Position::new(7, number)
}

/// Appends a message with this position, whose text is the number.
fn append(log: &mut Log, group: &str, number: u64) {
    let message = Message::text(number.to_string());
    let message = Some((message, LIMITS));
    log.append(&Arc::from(group), at(number), message, Instant::now());
}

fn texts(log: &Log, group: &str, since: Position) -> Option<Vec<String>> {
    let Missed::Since { mut number, count } = log.missed(group, since) else {
        return None;
    };
    let mut texts = Vec::new();
    while let Messages::Next(page) = log.after(group, number)
        && let Some((last, _)) = page.last()
    {
        number = *last;
        texts.extend(
            page.iter()
                .map(|(_, message)| message.as_text().expect("text").to_owned()),
        );
    }
    assert_eq!(texts.len(), count);
    Some(texts)
}

#[tokio::test(start_paused = true)]
async fn seven_published_and_five_kept_is_a_gap() {
    let mut log = log();
    for number in 1..=7 {
        append(&mut log, "a", number);
    }
    assert_eq!(texts(&log, "a", at(1)), None);
    let missed = texts(&log, "a", at(2));
    assert_eq!(
        missed,
        Some(["3", "4", "5", "6", "7"].map(String::from).into())
    );
    assert_eq!(texts(&log, "a", at(7)), Some(Vec::new()));
    // Of the position of another group, nothing is missing that this one has lost.
    append(&mut log, "b", 8);
    assert_eq!(texts(&log, "b", at(1)), Some(vec!["8".into()]));
    assert_eq!(texts(&log, "a", at(8)), Some(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn expired_and_nothing_missed_is_recovered() {
    let mut log = log();
    for number in 1..=3 {
        append(&mut log, "a", number);
    }
    advance(MINUTE + Duration::from_millis(1)).await;
    log.trim_group("a", LIMITS);
    assert_eq!(texts(&log, "a", at(3)), Some(Vec::new()));
    assert_eq!(texts(&log, "a", at(2)), None);
    // Not even its place is left, and another group goes on.
    advance(10 * MINUTE).await;
    append(&mut log, "b", 4);
    assert_eq!(texts(&log, "a", at(3)), Some(Vec::new()));
    assert_eq!(texts(&log, "a", at(2)), None);
    append(&mut log, "a", 5);
    assert_eq!(texts(&log, "a", at(2)), None);
    for since in [at(3), at(4)] {
        assert_eq!(texts(&log, "a", since), Some(vec!["5".into()]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_that_the_log_does_not_have_is_unknown_and_a_later_one_is_ahead() {
    let mut log = log();
    assert_eq!(log.missed("a", at(0)), Missed::Ahead);
    append(&mut log, "a", 5);
    append(&mut log, "a", 7);
    for number in [0, 4, 6] {
        assert_eq!(log.missed("a", at(number)), Missed::Unknown);
    }
    assert_eq!(log.missed("a", at(8)), Missed::Ahead);
    // It is that very position, and not one between two others.
    assert_eq!(log.missed("a", Position::new(6, 6)), Missed::Unknown);
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_no_earlier_position_is_known() {
    let mut log = log();
    for number in 1..=3 {
        append(&mut log, "a", number);
    }
    let Missed::Since { number, .. } = log.missed("a", at(3)) else {
        panic!("it is there");
    };
    log.reset();
    assert_eq!((log.last(), log.is_ready()), (None, false));
    append(&mut log, "a", 2);
    append(&mut log, "a", 4);
    assert_eq!(log.missed("a", at(3)), Missed::Unknown);
    // Whoever reads the log is told, too.
    assert_eq!(log.after("a", number - 1), Messages::Gone);
    assert_eq!(log.after("another", number - 1), Messages::Gone);
    assert_eq!(texts(&log, "a", at(2)), Some(vec!["4".into()]));
}

#[tokio::test(start_paused = true)]
async fn no_position_from_before_a_hole_is_recovered_and_those_after_it_are() {
    let mut log = log();
    for number in 1..=3 {
        append(&mut log, "a", number);
    }
    log.lose_before_next();
    assert_eq!(texts(&log, "a", at(3)), None);
    append(&mut log, "b", 6);
    append(&mut log, "b", 7);
    for group in ["a", "b"] {
        assert_eq!(texts(&log, group, at(3)), None);
        assert!(matches!(
            log.missed(group, at(2)),
            Missed::Lost { number: 2 }
        ));
    }
    assert_eq!(texts(&log, "b", at(6)), Some(vec!["7".into()]));
    // Whoever joins now is told where the group is, and comes back with that.
    let joined = log.position_of("a").expect("a position");
    assert_eq!(texts(&log, "a", joined), Some(Vec::new()));
    // Also when that entry has expired.
    advance(11 * MINUTE).await;
    append(&mut log, "b", 8);
    assert_eq!(texts(&log, "a", joined), Some(Vec::new()));
    log.lose_before_last();
    assert_eq!(texts(&log, "a", joined), None);
    assert_eq!(texts(&log, "b", at(8)), Some(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_the_log_is_bounded_in_bytes_time_and_groups() {
    let mut log = log();
    let limits = Limits {
        size: 1000,
        ttl: MINUTE,
    };
    for number in 0..100 {
        let message = Some((Message::binary(vec![0; 1024 * 1024]), limits));
        log.append(&Arc::from("a"), at(number), message, Instant::now());
    }
    let (bytes, ..) = log.sizes();
    assert!((60..=64).contains(&(bytes / 1024 / 1024)), "{bytes}");
    for number in 100..50_100 {
        append(&mut log, &number.to_string(), number);
    }
    advance(11 * MINUTE).await;
    log.trim();
    let (bytes, groups, idle) = log.sizes();
    assert_eq!((bytes, groups, idle), (0, 10_000, 10_000));
    // What is said of a group that is forgotten is that nobody knows.
    append(&mut log, "b", 50_100);
    assert_eq!(texts(&log, "200", at(200)), None);
    assert_eq!(texts(&log, "50099", at(50_099)), Some(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_history_is_read_in_pages() {
    let mut log = log();
    let limits = Limits {
        size: 1000,
        ttl: MINUTE,
    };
    for number in 0..1000 {
        let message = Some((Message::text(number.to_string()), limits));
        log.append(&Arc::from("a"), at(number), message, Instant::now());
    }
    let Messages::Next(page) = log.after("a", 0) else {
        panic!("all are there");
    };
    assert_eq!(page.len(), 64);
    assert_eq!(texts(&log, "a", at(0)).map(|texts| texts.len()), Some(999));
}

#[tokio::test(start_paused = true)]
async fn a_page_has_so_many_messages_and_bytes_but_at_least_one() {
    let mut log = log();
    for number in [1, 2, 10, 11, 30] {
        append(&mut log, "a", number);
    }
    let positions = |number, limit, bytes| {
        let (page, has_more) = log.page("a", number, limit, bytes);
        let positions = page.iter().map(|kept| kept.position.parts().1);
        (positions.collect::<Vec<_>>(), has_more)
    };
    assert_eq!(positions(0, 5, 100), (vec![1, 2, 10, 11, 30], false));
    assert_eq!(positions(0, 4, 100), (vec![1, 2, 10, 11], true));
    assert_eq!(positions(0, 5, 4), (vec![1, 2, 10], true));
    // A larger one comes alone.
    assert_eq!(positions(2, 5, 1), (vec![10], true));
    assert_eq!(positions(5, 5, 100), (vec![], false));
}

/// An entry of this group, with this position.
fn entry(number: u64, group: &Arc<str>) -> Entry {
    let message = Parcel::Message(Message::text("hello"));
    Entry {
        position: at(number),
        group: Arc::clone(group),
        message: seal(NodeId::random(), &message),
        age: Duration::ZERO,
    }
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn messages_that_come_are_counted_and_not_those_from_before() {
    let registry = Registry::new();
    registry.keep(&[Kept::prefix("a")]).expect("the first");
    let (history, prefix) = (Arc::new(History::new()), Arc::from("wasabi.x.y"));
    history.add(&prefix, &registry);
    let came = |number, name: &str, is_from_before| {
        let group = subject(&prefix, &Place::Group(name.into())).expect("a name");
        history.append(entry(number, &group.into()), is_from_before);
        history.received()
    };
    assert_eq!(came(1, "a", true), 0);
    assert_eq!(came(2, "a", false), 1);
    // It is of another gateway's groups.
    assert_eq!(came(3, "b", false), 1);
    assert_eq!(came(4, "a", false), 2);
}

#[tokio::test]
async fn only_who_is_still_a_member_is_told_of_a_gap() {
    for stays in [true, false] {
        let registry = Registry::new();
        registry.keep(&[Kept::all().size(1)]).expect("the first");
        let (history, prefix) = (Arc::new(History::new()), Arc::from("wasabi.x.y"));
        history.add(&prefix, &registry);
        let group: Arc<str> = subject(&prefix, &Place::Group("a".into()))
            .expect("a name")
            .into();
        let member = connection(1, "/");
        let _entry = registry.enter(&member, registry.admit(None).expect("a place"));
        assert!(registry.join("a", &member));
        history.append(entry(1, &group), true);
        let here = Here {
            subject: Arc::clone(&group),
            name: "a".into(),
            registry: registry.clone(),
        };
        let catching_up = {
            let mut shard = history.behind.shard(&*group);
            history.fall_behind(&mut shard, &here, &member, 1, None)
        };
        for number in 2..=4 {
            history.append(entry(number, &group), false);
        }
        assert!(stays || registry.leave("a", &member));
        catching_up.await;
        assert_eq!(member.is_closed(), stays);
    }
}
