use super::*;

fn timeline(text: &str) -> RunHistory {
    serde_json::from_str(text).expect("a timeline")
}

fn ascii(screen: Screen) -> Screen {
    Screen { unicode: false, ..screen }
}

#[test]
fn a_run_that_completed_after_a_retry() {
    let timeline = timeline(include_str!("../fixtures/completed.json"));
    for width in [80, 120] {
        insta::assert_snapshot!(format!("completed_{width}"), render(&Screen::still(width), &timeline, false));
    }
    insta::assert_snapshot!("completed_full", render(&Screen::still(80), &timeline, true));
    insta::assert_snapshot!("completed_ascii", render(&ascii(Screen::still(80)), &timeline, false));
}

#[test]
fn a_run_of_parallel_steps_that_failed() {
    let timeline = timeline(include_str!("../fixtures/failed.json"));
    for width in [80, 120] {
        insta::assert_snapshot!(format!("failed_{width}"), render(&Screen::still(width), &timeline, false));
    }
}

/// Queued, waiting for somebody, a hundred items, paused, nine iterations, undone.
#[test]
fn a_run_that_stood_says_why_and_counts_what_is_many() {
    let timeline = timeline(include_str!("../fixtures/stood.json"));
    let drawn = render(&Screen::still(100), &timeline, false);
    assert!(drawn.contains("queued by concurrency 2.10s"), "{drawn}");
    assert!(drawn.contains("… 96 more items"), "three are shown, and the one that failed: {drawn}");
    assert!(drawn.contains("… 5 more iterations"), "{drawn}");
    insta::assert_snapshot!("stood_100", drawn);
    assert!(render(&Screen::still(100), &timeline, true).matches("tell[").count() >= 200, "all of it");
}

#[test]
fn no_line_is_wider_than_the_screen() {
    for text in [
        include_str!("../fixtures/completed.json"),
        include_str!("../fixtures/failed.json"),
        include_str!("../fixtures/stood.json"),
    ] {
        for width in [60, 72, 80, 100, 120, 200] {
            let drawn = render(&Screen::still(width), &timeline(text), false);
            for line in drawn.lines() {
                let wide = crate::cli::screen::width_of(line);
                assert!(wide <= width.max(80), "{wide} of {width}: {line}");
            }
        }
    }
}
