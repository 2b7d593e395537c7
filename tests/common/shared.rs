//! One scene for all tests of a file.

use std::sync::{Arc, Mutex, Weak};

/// A scene that the tests of a file share while any of them runs. A plain `static` would never be dropped, and leave
/// the gateway running after the tests.
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// The scene, made by `make` if nobody holds it.
    pub fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut place = self.0.lock().expect("the scene could be made");
        if let Some(scene) = place.upgrade() {
            return scene;
        }
        let scene = Arc::new(make());
        *place = Arc::downgrade(&scene);
        scene
    }
}
