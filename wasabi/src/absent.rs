//! What stands where a declaration has nothing.

use crate::{Backend, Error, Middleware, Next, Request};

/// Replaces the target of an arm that is configured out, or a mistake. Never called.
#[derive(Debug)]
pub struct Absent;

impl Middleware for Absent {
    fn handle(&self, req: Request, next: impl Next) -> impl Future<Output = crate::Result> + Send {
        next.run(req)
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&[])
    }
}

impl<S: Sync> Backend<S> for Absent {
    async fn call(&self, _req: Request, _state: &S) -> crate::Result {
        Err(Error::NoRoute)
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        // What is configured out is no route.
        let _ = to;
    }
}
