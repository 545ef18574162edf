//! Types of the function's can be named in targets, in middleware and in the state.

use serde::{Serialize, de::DeserializeOwned};
use wasabi::prelude::*;

async fn twice<T: Serialize + Clone>(Json(value): Json<T>) -> Json<(T, T)> {
    Json((value.clone(), value))
}

struct Named<N>(N);

impl<N: AsRef<str> + Send + Sync> Middleware for Named<N> {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let _ = self.0.as_ref();
        next.run(req).await
    }
}

fn declare<T, N>(name: N, state: T) -> Gateway
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    N: AsRef<str> + Clone + Send + Sync + 'static,
{
    let own = name.clone();
    gateway!(
        state = state,
        middleware = [Named(name.clone())],
        channel(
            "/",
            match key {
                "twice" => twice::<T>,
                "state" => async |State(state): State<T>| Json(state),
                key if key == own.as_ref() => with([Named(name)], twice::<T>),
                _ => balance([(1, twice::<T>), (1, NoRoute)]),
            },
        ),
    )
}

#[test]
fn compiles() {
    let _ = declare("name", 1u8);
}
