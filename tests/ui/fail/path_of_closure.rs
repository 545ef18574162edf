use wasabi::prelude::*;

fn main() {
    let _ = gateway!(
        channel("/v1/{tenant}", async |Path((tenant, room)): Path<(String, u32)>| {
            format!("{tenant} {room}")
        }),
        channel("/v2/{tenant}/{room}", match key {
            "room" => async |Path(room): Path<u32>| room.to_string(),
            _ => async |Path(_): Path<(String, u32)>| (),
        }),
    );
}
