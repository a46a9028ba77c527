//! A line for each request, when an operator asks for it: method, path, status, time and key. Never a body, a header or
//! a query, which may have what is a tenant's own. Of a callback the path is left out: it has the attempt's secret name.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use fleetprompt_core::KeyId;

const PATH_CHARS_MAX: usize = 200;
const CALLBACKS: &str = "/v1/callbacks/";

/// Where the key of a request is noted once it was looked at. Only there while requests are logged.
#[derive(Debug, Clone, Default)]
pub struct RequestKey(pub Arc<OnceLock<KeyId>>);

pub async fn log(mut request: Request, next: Next) -> Response {
    let (method, path, key) = (request.method().clone(), shown(request.uri().path()), RequestKey::default());
    request.extensions_mut().insert(key.clone());
    let began = Instant::now();
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_secs_f64() * 1_000.0);
    let key = key.0.get().map(ToString::to_string);
    tracing::info!(target: "requests", %method, path, status, ms, key, "request");
    response
}

fn shown(path: &str) -> String {
    match path.starts_with(CALLBACKS) {
        true => format!("{CALLBACKS}…"),
        false => path.chars().take(PATH_CHARS_MAX).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use parking_lot::Mutex;
    use tower::ServiceExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_request_is_logged_by_its_method_path_status_and_key_and_by_nothing_else() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let key = KeyId(uuid::Uuid::from_u128(7));
        let handler = move |request: Request| async move {
            let noted: &RequestKey = request.extensions().get().expect("while requests are logged");
            noted.0.set(key).expect("once");
        };
        let router = Router::new().route("/v1/signals", post(handler)).layer(from_fn(log));
        let request = Request::post("/v1/signals?correlation_id=query-1")
            .header("authorization", "Bearer fp_header-1")
            .body(Body::from("body-1"))
            .expect("a request");
        router.oneshot(request).await.expect("an answer");
        let text = String::from_utf8(lines.0.lock().clone()).expect("text");
        for part in ["requests:", "method=POST", "path=\"/v1/signals\"", "status=200", "ms=", &key.to_string()] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!["query-1", "header-1", "body-1"].iter().any(|secret| text.contains(secret)), "{text}");
    }

    #[test]
    fn of_a_path_no_more_is_logged_than_may_be_known() {
        assert_eq!(shown("/v1/callbacks/dir_1.1.00ff"), "/v1/callbacks/…");
        assert_eq!(shown("/v1/runs/run_1"), "/v1/runs/run_1");
        assert_eq!(shown(&"/".repeat(9_000)).len(), PATH_CHARS_MAX);
    }
}
