//! Requests that are cloned for each attempt.

use super::protocol::{Call, Protocol};
use crate::attempt::Attempt;
use crate::classification::Classification;
use crate::error::CannotRepeat;

/// Requests that can be cloned: each attempt sends a clone. Every response is good, and every error that is
/// worth another attempt gets one.
///
/// Whether a request may be carried out twice is for its caller to know: a service that must not be asked twice
/// belongs under [`Once`](super::Once).
#[derive(Clone, Copy, Debug, Default)]
pub struct Cloned;

/// One request that is cloned for each attempt.
#[derive(Debug)]
pub struct ClonedCall<Req>(Req);

impl<Req: Clone> Protocol<Req> for Cloned {
    type Request = Req;
    type Call = ClonedCall<Req>;

    fn begin(&self, request: Req) -> ClonedCall<Req> {
        ClonedCall(request)
    }
}

impl<Req: Clone + Sync, Res: Send> Call<Res> for ClonedCall<Req> {
    type Request = Req;
    type Response = Res;

    fn request(&self, _attempt: Attempt) -> Req {
        self.0.clone()
    }

    async fn receive(&self, response: Res) -> Res {
        response
    }

    fn judge(&self, _response: &Res) -> Option<Classification> {
        None
    }

    fn may_repeat(&self, _failed: &Classification) -> Result<(), CannotRepeat> {
        Ok(())
    }
}
