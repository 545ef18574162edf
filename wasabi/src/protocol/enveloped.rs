//! What a protocol makes of a reply.

use super::{Call, Protocol};
use crate::{Reply, Result};

/// Has the protocol write a reply. What waits for the reply waits for what the protocol makes of it.
#[inline]
pub(super) fn enveloped<P: Protocol>(protocol: &P, call: &Call<'_>, reply: Reply) -> Result<Reply> {
    match reply.is_gated() {
        true => enveloped_gated(protocol, call, reply),
        false => protocol.reply(call, reply),
    }
}

#[cold]
fn enveloped_gated<P: Protocol>(protocol: &P, call: &Call<'_>, reply: Reply) -> Result<Reply> {
    let (reply, gates) = reply.split();
    Ok(protocol.reply(call, reply)?.before(gates))
}
