//! Runs a grain's scheduled jobs while it is served; what was due meanwhile runs at the next start.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use capnp::Error;
use capnp::capability::FromClientHook;
use spk_grains::store::capabilities::Job;
use spk_grains::store::now;
use spk_package::causes::in_one_line;
use spk_schema::grain_capnp::scheduled_job;

use super::grain::Grain;

/// How long a job that failed waits for its next try, and how often it is tried.
const RETRY: u64 = 5 * 60;
const TRIES: u32 = 3;

/// The clock is looked at at least so often: it may be set meanwhile.
const LONGEST_SLEEP: u64 = 60;

/// Runs what is due, for ever.
pub(crate) async fn run_jobs(grain: Rc<Grain>) {
    let objects = grain.objects.clone();
    let mut tries: HashMap<u64, u32> = HashMap::new();
    loop {
        let next = objects.records.read(|records| {
            let next = records.jobs.iter().min_by_key(|(_, job)| job.due);
            next.map(|(number, job)| (*number, job.clone()))
        });
        let Some((number, job)) = next else {
            objects.jobs_changed.notified().await;
            continue;
        };
        let wait = job.due.saturating_sub(now());
        if wait > 0 {
            let sleep = tokio::time::sleep(Duration::from_secs(wait.min(LONGEST_SLEEP)));
            tokio::select! {
                () = sleep => {}
                () = objects.jobs_changed.notified() => {}
            }
            continue;
        }
        let again = match run_job(&grain, &job).await {
            Ok(cancelled) => {
                tries.remove(&number);
                // From now on: what was missed is not made up for.
                let period = job.period.filter(|_| !cancelled);
                period.map(|period| now().saturating_add(period.seconds()))
            }
            Err(error) => {
                let error = super::exception::printable(&error);
                objects.notes.say(&format!("the scheduled job {:?} failed: {error}", job.name));
                let tried = tries.entry(number).or_default();
                *tried += 1;
                if *tried < TRIES {
                    Some(now() + RETRY)
                } else {
                    tries.remove(&number);
                    job.period.map(|period| now().saturating_add(period.seconds()))
                }
            }
        };
        let kept = objects
            .records
            .change(|records| match again {
                Some(due) => {
                    if let Some(job) = records.jobs.get_mut(&number) {
                        job.due = due;
                    }
                }
                None => {
                    records.jobs.remove(&number);
                }
            })
            .await;
        if let Err(error) = kept {
            objects.notes.once(&format!("cannot write down when jobs are due: {error}"));
        }
    }
}

/// Runs one job; whether it wants to come no more.
async fn run_job(grain: &Rc<Grain>, job: &Job) -> Result<bool, Error> {
    let _busy = grain.activity.begin();
    let app = grain.app().await.map_err(|error| Error::failed(in_one_line(&error)))?;
    grain.objects.notes.say(&format!("running the scheduled job {:?}", job.name));
    let callback = grain.objects.restore(&job.object).await?;
    let callback: scheduled_job::callback::Client = FromClientHook::new(callback.hook);
    let answered = callback.run_request().send().promise;
    tokio::select! {
        response = answered => Ok(response?.get()?.get_cancel_future_runs()),
        () = app.gone() => Err(Error::disconnected("the app ended".into())),
    }
}
