//! The engine survives its own mistakes, so a world would not hear of them: here they are written down.

use std::cell::{Cell, RefCell};
use std::sync::Once;

use crate::check::{Held, hold};

thread_local! {
    static LISTENS: Cell<bool> = const { Cell::new(false) };
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does something in a world. A panic meanwhile is kept for whoever asks, and not printed.
pub fn listen<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let otherwise = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match LISTENS.get() {
            true => HEARD.with_borrow_mut(|heard| _ = heard.get_or_insert_with(|| panic.to_string())),
            false => otherwise(panic),
        }));
    });
    LISTENS.set(true);
    HEARD.take();
    let done = work();
    LISTENS.set(false);
    done
}

pub fn none() -> Held {
    let heard = HEARD.with_borrow(Clone::clone);
    hold(heard.is_none(), || format!("a panic: {}", heard.unwrap_or_default()))
}
