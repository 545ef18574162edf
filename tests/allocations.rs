//! What must not allocate: counted by an allocator of this program's own.

#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

use wasabi::{Bytes, JsonKey, Message, Parser, Text};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many allocations `work` makes on this thread.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counting_allocator_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(7)))), 1);
}

#[test]
fn reading_key_and_id_of_a_json_message_allocates_nothing() {
    let text = r#"{"req_id":"a-1","params":{"nested":{"deeper":[1,{"x":null}]},"text":"an \"escape\" \u00e4"},"action":"order.place"}"#;
    // As they come from the wire: in memory that is shared already.
    let shared = Bytes::from(text.to_owned());
    let _also_shared = shared.clone();
    let messages = [
        Message::Text(Text::try_from(shared.clone()).expect("UTF-8")),
        Message::Binary(shared),
    ];
    let parser = JsonKey::at("/action").id("/req_id");
    for message in &messages {
        let count = allocations(|| {
            for _ in 0..1000 {
                let envelope = parser.parse(black_box(message));
                assert!(matches!(black_box(envelope), Ok(Some(_))));
            }
        });
        assert_eq!(count, 0, "{message:?}");
    }
}
