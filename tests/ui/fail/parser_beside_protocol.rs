use wasabi::{Call, Incoming, RequestId, prelude::*};

struct Mine;

impl wasabi::Protocol for Mine {
    fn read<'m>(&self, _message: &'m Message, _from: &Connection) -> Result<Incoming<'m>> {
        Ok(Incoming::Request(Envelope::from_static("")))
    }

    fn reply(&self, _call: &Call<'_>, reply: Reply) -> Result<Reply> {
        Ok(reply)
    }

    fn error(&self, _error: &wasabi::Error, _id: Option<&RequestId>) -> Reply {
        Reply::none()
    }
}

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    // The channels of a gateway with a parser may speak another protocol.
    let _ = gateway!(
        parser = JsonKey::at("/do"),
        errors = Text,
        channel("/", protocol = Mine, echo),
        channel("/both", protocol = Mine, parser = Raw, errors = Json, echo),
    );
    let _ = gateway!(
        protocol = Mine,
        channel("/", parser = Raw, errors = Json, echo),
        channel("/beside", errors = Json, echo),
    );
}
