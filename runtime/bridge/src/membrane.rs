//! What stands between the app's own objects and the world (http-bridge §8.2).
//!
//! Everything that crosses the app's socket is wrapped, in both directions, and unwrapped when it
//! comes back. A call to `AppPersistent.save` from outside gets the app's own object ID inside a
//! `BridgeObjectId`; the app cannot call `AppPersistent` on foreign objects.

mod hooks;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use capnp::capability::FromClientHook;
use capnp::message::{Builder, HeapAllocator};
use capnp::private::capability::ClientHook;
use capnp::traits::{Imbue, ImbueMut};
use capnp::{Error, any_pointer};
use spk_schema::grain_capnp::app_persistent;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;

use hooks::Wrapped;

/// `AppPersistent`'s ID, and its only method.
const APP_PERSISTENT: u64 = 0xaffa_789a_dd87_47b8;
const SAVE: u16 = 0;

type Hook = Box<dyn ClientHook>;

/// Where an object lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// In the app: used from outside.
    App,
    /// Outside: used by the app.
    Outside,
}

impl Home {
    fn other(self) -> Home {
        match self {
            Home::App => Home::Outside,
            Home::Outside => Home::App,
        }
    }
}

/// The membrane of one bridge.
#[derive(Default)]
pub struct Membrane {
    /// Wrappers by their address, to know our own again.
    wrappers: RefCell<HashMap<usize, Weak<Wrapper>>>,
}

/// An object behind the membrane.
struct Wrapper {
    membrane: Rc<Membrane>,
    inner: Hook,
    home: Home,
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        let address = std::ptr::from_ref::<Wrapper>(self) as usize;
        self.membrane.wrappers.borrow_mut().remove(&address);
    }
}

impl Membrane {
    /// The form in which the other side may use `client`, whose home is `home`.
    pub fn pass<C: FromClientHook>(self: &Rc<Membrane>, client: C, home: Home) -> C {
        C::new(self.wrap(client.into_client_hook(), home))
    }

    fn wrap(self: &Rc<Membrane>, mut hook: Hook, home: Home) -> Hook {
        while let Some(resolved) = hook.get_resolved() {
            hook = resolved;
        }
        let known = self.wrappers.borrow().get(&hook.get_ptr()).and_then(Weak::upgrade);
        if let Some(wrapper) = known {
            return if wrapper.home == home { hook } else { wrapper.inner.add_ref() };
        }
        let wrapper = Rc::new(Wrapper { membrane: self.clone(), inner: hook, home });
        let address = Rc::as_ptr(&wrapper) as usize;
        self.wrappers.borrow_mut().insert(address, Rc::downgrade(&wrapper));
        Box::new(Wrapped(wrapper))
    }
}

/// A copy of a message whose capabilities have passed the membrane.
struct Passed {
    message: Builder<HeapAllocator>,
    capabilities: Vec<Option<Hook>>,
}

impl Passed {
    /// Copies `root`; the objects in it have their home at `home`.
    fn new(
        membrane: &Rc<Membrane>,
        root: any_pointer::Reader<'_>,
        home: Home,
    ) -> Result<Passed, Error> {
        let mut passed = Passed { message: Builder::new_default(), capabilities: Vec::new() };
        let mut copy: any_pointer::Builder<'_> = passed.message.get_root()?;
        // Copying collects the capabilities, wherever in the message they are.
        copy.imbue_mut(&mut passed.capabilities);
        copy.set_as(root)?;
        for capability in &mut passed.capabilities {
            *capability = capability.take().map(|hook| membrane.wrap(hook, home));
        }
        Ok(passed)
    }

    fn get(&self) -> Result<any_pointer::Reader<'_>, Error> {
        let mut root: any_pointer::Reader<'_> = self.message.get_root_as_reader()?;
        root.imbue(&self.capabilities);
        Ok(root)
    }
}

impl Wrapper {
    /// Who answers a call: the object itself, unless it is about persistence.
    fn is_intercepted(&self, interface: u64) -> bool {
        interface == APP_PERSISTENT
    }

    /// Answers a call to `AppPersistent`.
    async fn intercept(self: Rc<Wrapper>, method: u16) -> Result<Passed, Error> {
        if self.home == Home::Outside {
            return Err(Error::unimplemented(
                "AppPersistent is not for apps to call: use SandstormApi.save".into(),
            ));
        }
        if method != SAVE {
            return Err(Error::unimplemented("AppPersistent has no such method".into()));
        }
        let own: app_persistent::Client<any_pointer::Owned> =
            FromClientHook::new(self.inner.add_ref());
        let response = own.save_request().send().promise.await?;
        let saved = response.get()?;
        let mut passed = Passed { message: Builder::new_default(), capabilities: Vec::new() };
        let mut root: any_pointer::Builder<'_> = passed.message.get_root()?;
        root.imbue_mut(&mut passed.capabilities);
        let mut results: app_persistent::save_results::Builder<'_, bridge_object_id::Owned> =
            root.init_as();
        let object_id = results.reborrow().init_object_id();
        object_id.init_application().set_as(saved.get_object_id()?)?;
        results.set_label(saved.get_label()?)?;
        Ok(passed)
    }
}
