//! Which status of HTTP an error of each category is answered with.

use http::StatusCode;

use crate::classification::Category;

/// The status of 529, which has no name: the service is overloaded. Anthropic's API answers so
/// (docs.anthropic.com, "Errors").
pub(super) fn overloaded() -> StatusCode {
    StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

/// The status that an error of `category` is answered with, unless a [`Rejection`](super::Rejection) or the
/// [`ErrorLayer`](super::ErrorLayer) says otherwise.
///
/// | category | status |
/// |---|---|
/// | validation | 400 |
/// | authentication | 401 |
/// | authorization, security | 403 |
/// | not found | 404 |
/// | conflict | 409 |
/// | business rule | 422 |
/// | rate limited | 429 |
/// | internal, state corruption, unknown | 500 |
/// | external service | 502 |
/// | network, service unavailable, database, resource exhausted | 503 |
/// | timeout | 504 |
///
/// A category speaks of what went wrong, and the same one may be the caller's fault or ours: a dependency that
/// answers 401 does not know *us*. Where that can happen, let
/// [`status_for`](super::ErrorLayer::status_for) answer it with 500 or 502.
///
/// ```
/// use recoup::{Category, axum::status_of};
/// assert_eq!(status_of(Category::NotFound), 404);
/// assert_eq!(status_of(Category::Network), 503);
/// ```
#[must_use]
pub const fn status_of(category: Category) -> StatusCode {
    match category {
        Category::Validation => StatusCode::BAD_REQUEST,
        Category::Authentication => StatusCode::UNAUTHORIZED,
        Category::Authorization | Category::Security => StatusCode::FORBIDDEN,
        Category::NotFound => StatusCode::NOT_FOUND,
        Category::Conflict => StatusCode::CONFLICT,
        Category::BusinessRule => StatusCode::UNPROCESSABLE_ENTITY,
        Category::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Category::Internal | Category::StateCorruption | Category::Unknown => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Category::ExternalService => StatusCode::BAD_GATEWAY,
        Category::Network
        | Category::ServiceUnavailable
        | Category::Database
        | Category::ResourceExhausted => StatusCode::SERVICE_UNAVAILABLE,
        Category::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// What an answer of this status is about that says nothing else of itself.
pub(super) fn category_of(status: StatusCode) -> Category {
    match status.as_u16() {
        401 => Category::Authentication,
        403 => Category::Authorization,
        404 | 410 => Category::NotFound,
        408 | 504 => Category::Timeout,
        409 | 412 => Category::Conflict,
        422 => Category::BusinessRule,
        429 => Category::RateLimited,
        400..=499 => Category::Validation,
        502 => Category::ExternalService,
        503 | 529 => Category::ServiceUnavailable,
        507 => Category::ResourceExhausted,
        _ => Category::Internal,
    }
}

/// What a caller may be told of an error of this category, when nothing else is known that may be told.
pub(super) const fn sentence(category: Category) -> &'static str {
    match category {
        Category::Validation => "the request is not acceptable",
        Category::Authentication => "nobody proved who asks",
        Category::Authorization | Category::Security => "this is not allowed",
        Category::NotFound => "there is no such thing",
        Category::Conflict => "it has changed meanwhile",
        Category::BusinessRule => "a rule forbids it",
        Category::RateLimited => "too many requests",
        Category::ExternalService => "a service behind this one failed",
        Category::Network
        | Category::ServiceUnavailable
        | Category::Database
        | Category::ResourceExhausted => "the service cannot answer now",
        Category::Timeout => "there was no answer in time",
        Category::Internal | Category::StateCorruption | Category::Unknown => "something went wrong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in the docs of [`status_of`], as it is written there.
    const TABLE: &[(&str, u16)] = &[
        ("validation", 400),
        ("authentication", 401),
        ("authorization, security", 403),
        ("not found", 404),
        ("conflict", 409),
        ("business rule", 422),
        ("rate limited", 429),
        ("internal, state corruption, unknown", 500),
        ("external service", 502),
        ("network, service unavailable, database, resource exhausted", 503),
        ("timeout", 504),
    ];

    #[test]
    fn every_category_has_the_status_of_the_table_in_the_docs() {
        let source = include_str!("status.rs");
        let mut seen = Vec::new();
        for (names, status) in TABLE {
            assert!(source.contains(&format!("/// | {names} | {status} |")), "{names} in the docs");
            for name in names.split(", ") {
                let category = Category::ALL.into_iter().find(|one| one.name() == name.replace(' ', "_"));
                let category = category.expect("a category of that name");
                assert_eq!(status_of(category), *status, "{category}");
                seen.push(category);
            }
        }
        seen.sort();
        let mut all = Category::ALL;
        all.sort();
        assert_eq!(seen, all, "each stands in it once");
    }

    #[test]
    fn answer_that_says_nothing_is_about_something_of_its_own_status() {
        for status in [400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(status_of(category_of(status)), status);
        }
        assert_eq!(category_of(overloaded()), Category::ServiceUnavailable);
        assert_eq!(overloaded(), 529);
    }
}
