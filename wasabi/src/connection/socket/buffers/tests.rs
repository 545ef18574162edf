use proptest::prelude::*;

use super::*;

/// What happens to an output.
#[derive(Debug, Clone)]
enum Step {
    Copy(usize),
    Refer(usize),
    Send(usize),
    Block,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..200_usize).prop_map(Step::Copy),
        (0..200_usize).prop_map(Step::Refer),
        (0..400_usize).prop_map(Step::Send),
        Just(Step::Block),
    ]
}

/// Bytes that differ from their neighbours.
fn bytes(start: &mut u8, len: usize) -> Vec<u8> {
    let next = || {
        *start = start.wrapping_add(1);
        *start
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// What the first `parts` parts of an output are.
fn gathered(output: &Output, parts: usize) -> Vec<u8> {
    let mut slices = vec![IoSlice::new(&[]); parts];
    let count = output.parts(&mut slices);
    slices[..count]
        .iter()
        .flat_map(|part| part.to_vec())
        .collect()
}

proptest! {
    #[test]
    fn an_output_is_sent_in_order_however_little_at_a_time(
        steps in prop::collection::vec(step(), 0..40),
        parts in 1..8_usize,
    ) {
        let mut output = Output::default();
        let mut expected = Vec::new();
        let mut start = 0;
        for step in steps {
            match step {
                Step::Copy(len) => {
                    let bytes = bytes(&mut start, len);
                    output.make_room();
                    output.bytes.extend_from_slice(&bytes);
                    expected.extend(bytes);
                }
                Step::Refer(len) => {
                    let bytes = bytes(&mut start, len);
                    output.make_room();
                    output.add_large(bytes.clone().into());
                    expected.extend(bytes);
                }
                Step::Send(most) => {
                    let count = gathered(&output, parts).len().min(most);
                    output.sent(count);
                    expected.drain(..count);
                }
                Step::Block => {
                    output.copy_large();
                    prop_assert!(output.is_plain());
                    prop_assert_eq!(output.rest(), &expected[..]);
                }
            }
            prop_assert_eq!(output.len(), expected.len());
            prop_assert_eq!(&gathered(&output, 1000), &expected);
            let first = gathered(&output, parts);
            prop_assert!(expected.starts_with(&first));
            prop_assert_eq!(first.is_empty(), expected.is_empty());
        }
    }
}

#[test]
fn a_large_payload_stays_where_it_was_read_and_a_small_one_is_copied() {
    let read = vec![7; 4 * SMALL];
    let mut input = Input::of(&read);
    let place = input.rest().as_ptr_range();
    let mask = [1, 2, 3, 4];
    let small = input.payload(SMALL, mask);
    let large = input.payload(SMALL + 1, mask);
    assert!(!place.contains(&small.as_ptr()));
    assert!(place.contains(&large.as_ptr()));
    for payload in [&small, &large] {
        let unmasked = |(index, byte): (usize, &u8)| byte ^ mask[index % 4] == 7;
        assert!(payload.iter().enumerate().all(unmasked));
    }
    assert_eq!(input.rest().len(), 2 * SMALL - 1);
}

#[test]
fn a_buffer_is_used_again_once_its_payloads_are_gone() {
    let mut input = Input::take();
    input.room().extend_from_slice(&[7; 2 * SMALL]);
    let place = input.rest().as_ptr();
    let payload = input.payload(2 * SMALL, [0; 4]);
    input.give();
    let other = Input::take();
    assert_ne!(other.rest().as_ptr(), place);
    assert_eq!(*payload, [7; 2 * SMALL]);
    drop(payload);
    assert_eq!(Input::take().rest().as_ptr(), place);
}

#[test]
fn what_came_before_the_connection_has_its_own_memory() {
    let mut early = Input::of(&[7]);
    assert!(early.room().capacity() < READ);
    let place = early.rest().as_ptr();
    early.give();
    let mut other = Input::take();
    assert!(other.room().capacity() >= READ && other.rest().as_ptr() != place);
}

#[test]
fn what_waits_for_a_blocked_peer_pins_no_more_than_its_bytes() {
    let payload = Bytes::from(vec![7; 4 * SMALL]);
    let mut output = Output::default();
    output.add_large(payload.slice(..SMALL + 1));
    assert!(!payload.is_unique());
    output.copy_large();
    assert!(payload.is_unique());
    assert_eq!(
        (output.len(), output.rest()),
        (SMALL + 1, &payload[..=SMALL])
    );
}
