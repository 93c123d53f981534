//! The membrane's side of the RPC system's interfaces.

use std::rc::Rc;

use capnp::capability::{Promise, RemotePromise, Request, Response};
use capnp::message::{Builder, HeapAllocator};
use capnp::private::capability::{
    ClientHook, ParamsHook, PipelineHook, PipelineOp, RequestHook, ResponseHook, ResultsHook,
};
use capnp::traits::{Imbue, ImbueMut};
use capnp::{Error, MessageSize, any_pointer};
use spk_rpc::GivenUp;

use super::{Home, Hook, Membrane, Passed, Wrapper};

/// A reference to an object behind the membrane.
pub(super) struct Wrapped(pub(super) Rc<Wrapper>);

impl Wrapped {
    /// Calls the object. Parameters come from the other side, results from the object's.
    fn start(
        &self,
        interface: u64,
        method: u16,
        params: any_pointer::Reader<'_>,
    ) -> Result<RemotePromise<any_pointer::Owned>, Error> {
        let wrapper = &self.0;
        let (membrane, home) = (wrapper.membrane.clone(), wrapper.home);
        if wrapper.is_intercepted(interface) {
            let answer = wrapper.clone().intercept(method);
            return Ok(RemotePromise {
                promise: Promise::from_future(async move { Ok(response(answer.await?)) }),
                pipeline: any_pointer::Pipeline::new(Box::new(NoPipeline)),
            });
        }
        let passed = Passed::new(&membrane, params, home.other())?;
        let mut request = wrapper.inner.new_call(interface, method, None);
        request.get().set_as(passed.get()?)?;
        let RemotePromise { promise, pipeline } = request.hook.send();
        let results = membrane.clone();
        Ok(RemotePromise {
            promise: Promise::from_future(async move {
                let answer = promise.await?;
                Ok(response(Passed::new(&results, answer.get()?, home)?))
            }),
            pipeline: any_pointer::Pipeline::new(Box::new(WrappedPipeline {
                inner: pipeline.hook,
                membrane,
                home,
            })),
        })
    }
}

impl ClientHook for Wrapped {
    fn add_ref(&self) -> Hook {
        Box::new(Wrapped(self.0.clone()))
    }

    fn new_call(
        &self,
        interface: u64,
        method: u16,
        _: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        Request::new(Box::new(WrappedRequest {
            target: Wrapped(self.0.clone()),
            interface,
            method,
            message: Builder::new_default(),
            capabilities: Vec::new(),
        }))
    }

    fn call(
        &self,
        interface: u64,
        method: u16,
        params: Box<dyn ParamsHook>,
        mut results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        let given_up = GivenUp::of(&*params);
        let started = params.get().and_then(|params| self.start(interface, method, params));
        let RemotePromise { promise, pipeline } = match started {
            Ok(started) => started,
            Err(error) => return Promise::err(error),
        };
        given_up.or(Promise::from_future(async move {
            // Dropping it would cancel calls on results that are not there yet.
            let _pipeline = pipeline;
            let answer = promise.await?;
            results.get()?.set_as(answer.get()?)
        }))
    }

    /// Not that of any connection.
    fn get_brand(&self) -> usize {
        0
    }

    fn get_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }

    fn get_resolved(&self) -> Option<Hook> {
        None
    }

    fn when_more_resolved(&self) -> Option<Promise<Hook, Error>> {
        None
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        self.0.inner.when_resolved()
    }
}

/// A call that is being prepared in our own process.
struct WrappedRequest {
    target: Wrapped,
    interface: u64,
    method: u16,
    message: Builder<HeapAllocator>,
    capabilities: Vec<Option<Hook>>,
}

impl WrappedRequest {
    fn start(&self) -> Result<RemotePromise<any_pointer::Owned>, Error> {
        let mut params: any_pointer::Reader<'_> = self.message.get_root_as_reader()?;
        params.imbue(&self.capabilities);
        self.target.start(self.interface, self.method, params)
    }
}

impl RequestHook for WrappedRequest {
    fn get(&mut self) -> any_pointer::Builder<'_> {
        let root = self.message.get_root();
        let mut root: any_pointer::Builder<'_> =
            root.expect("a message that only this code writes has a root");
        root.imbue_mut(&mut self.capabilities);
        root
    }

    fn get_brand(&self) -> usize {
        0
    }

    fn send(self: Box<Self>) -> RemotePromise<any_pointer::Owned> {
        self.start().unwrap_or_else(|error| RemotePromise {
            promise: Promise::err(error),
            pipeline: any_pointer::Pipeline::new(Box::new(NoPipeline)),
        })
    }

    fn send_streaming(self: Box<Self>) -> Promise<(), Error> {
        let promise = self.send().promise;
        Promise::from_future(async move { promise.await.map(|_| ()) })
    }

    fn tail_send(self: Box<Self>) -> Option<(u32, Promise<(), Error>, Box<dyn PipelineHook>)> {
        None
    }
}

fn response(passed: Passed) -> Response<any_pointer::Owned> {
    Response::new(Box::new(passed))
}

impl ResponseHook for Passed {
    fn get(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        Passed::get(self)
    }
}

/// Capabilities of a result that is not there yet.
struct WrappedPipeline {
    inner: Box<dyn PipelineHook>,
    membrane: Rc<Membrane>,
    home: Home,
}

impl PipelineHook for WrappedPipeline {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(WrappedPipeline {
            inner: self.inner.add_ref(),
            membrane: self.membrane.clone(),
            home: self.home,
        })
    }

    fn get_pipelined_cap(&self, ops: &[PipelineOp]) -> Hook {
        self.membrane.wrap(self.inner.get_pipelined_cap(ops), self.home)
    }
}

/// Results without capabilities.
struct NoPipeline;

impl PipelineHook for NoPipeline {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(NoPipeline)
    }

    fn get_pipelined_cap(&self, _: &[PipelineOp]) -> Hook {
        capnp_rpc::new_broken_cap(Error::failed("the result has no capabilities".into())).hook
    }
}
