//! The store: conversations by key, and moods.
#![expect(clippy::disallowed_types, reason = "the lock of the library is its own")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, put};
use http::StatusCode;

#[derive(Clone, Default)]
pub(crate) struct Store {
    conversations: Arc<Mutex<HashMap<String, String>>>,
    mood: Arc<Mutex<Mood>>,
}

/// How it answers.
#[derive(Clone, Copy, Default)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// So many times with this status, and then well again.
    Answers(u16, u32),
    Stalls,
}

impl Store {
    pub(crate) fn is_now(&self, mood: Mood) {
        *lock(&self.mood) = mood;
    }

    pub(crate) fn routes(&self) -> Router {
        let all = Arc::clone(&self.conversations);
        Router::new()
            .route("/state/{key}", put(stored).get(retrieved).delete(deleted))
            .route("/state", delete(cleared))
            .with_state(all)
            .layer(from_fn_with_state(self.clone(), moody))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn moody(State(store): State<Store>, request: Request, next: Next) -> Response {
    let now = *lock(&store.mood);
    match now {
        Mood::Well => next.run(request).await,
        Mood::Stalls => std::future::pending().await,
        Mood::Answers(status, times) => {
            store.is_now(if times > 1 { Mood::Answers(status, times - 1) } else { Mood::Well });
            StatusCode::from_u16(status).unwrap_or_default().into_response()
        }
    }
}

type Conversations = State<Arc<Mutex<HashMap<String, String>>>>;

async fn stored(State(all): Conversations, Path(key): Path<String>, text: String) -> StatusCode {
    let replaced = lock(&all).insert(key, text).is_some();
    if replaced { StatusCode::OK } else { StatusCode::CREATED }
}

async fn retrieved(State(all): Conversations, Path(key): Path<String>) -> Result<String, StatusCode> {
    lock(&all).get(&key).cloned().ok_or(StatusCode::NOT_FOUND)
}

async fn deleted(State(all): Conversations, Path(key): Path<String>) -> Result<(), StatusCode> {
    lock(&all).remove(&key).map(drop).ok_or(StatusCode::NOT_FOUND)
}

async fn cleared(State(all): Conversations) {
    lock(&all).clear();
}
