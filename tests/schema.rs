//! What a gateway says of itself: what its routes take and answer, and with which errors.

mod schema {
    mod codes;
    mod keys;
    mod types;
}
