//! Scheduled jobs: kept with the grain, run while it is served (grain-runtime §C.2).
//! What was due meanwhile runs at the next start.

use std::rc::Rc;
use std::time::Duration;

use capnp::Error;
use capnp::capability::FromClientHook;
use spk_package::causes::in_one_line;
use spk_schema::grain_capnp::{SchedulingPeriod, sandstorm_api, scheduled_job};

use super::{Objects, text};
use crate::serve::grain::Grain;
use crate::serve::keeper::JOBS;
use crate::store::capabilities::{Job, Period};
use crate::store::now;

const NANOSECONDS: i64 = 1_000_000_000;

/// How long a job that failed waits for its next try, and how often it is tried.
const RETRY: u64 = 5 * 60;
const TRIES: u32 = 3;

/// The clock is looked at at least so often: it may be set meanwhile.
const LONGEST_SLEEP: u64 = 60;

impl Period {
    /// Length in seconds.
    fn seconds(self) -> u64 {
        const DAY: u64 = 24 * 60 * 60;
        // A year of the Gregorian calendar has 365.2425 days.
        const YEAR: u64 = 365 * DAY + DAY * 2425 / 10_000;
        match self {
            Period::Hourly => 60 * 60,
            Period::Daily => DAY,
            Period::Weekly => 7 * DAY,
            Period::Monthly => YEAR / 12,
            Period::Annually => YEAR,
        }
    }
}

/// Takes a job.
pub(super) async fn add(
    objects: &Rc<Objects>,
    params: sandstorm_api::ScheduleParams,
) -> Result<(), Error> {
    const METHOD: &str = "SandstormApi.schedule";
    use scheduled_job::schedule::Which;
    let (name, callback, due, period) = {
        let job = params.get()?;
        let name = text(job.get_name()?.get_default_text()?);
        if !job.has_callback() {
            return Err(Error::failed(format!("{METHOD}: the callback is null")));
        }
        let (due, period) = match job.get_schedule().which()? {
            Which::OneShot(shot) => {
                (u64::try_from(shot.get_when() / NANOSECONDS).unwrap_or(0), None)
            }
            Which::Periodic(period) => {
                let period = match period? {
                    SchedulingPeriod::Hourly => Period::Hourly,
                    SchedulingPeriod::Daily => Period::Daily,
                    SchedulingPeriod::Weekly => Period::Weekly,
                    SchedulingPeriod::Monthly => Period::Monthly,
                    SchedulingPeriod::Annually => Period::Annually,
                };
                (now().saturating_add(period.seconds()), Some(period))
            }
        };
        (name, job.get_callback()?, due, period)
    };
    drop(params);
    let (object, _) = objects
        .object_of(callback.client)
        .await
        .map_err(|error| objects.failed(METHOD, &crate::serve::printable(&error)))?;
    if objects.keeper.read(|records| records.jobs.len() >= JOBS) {
        let reason = format!("the grain has {JOBS} jobs, the most it can have");
        return Err(objects.failed(METHOD, &reason));
    }
    let job = Job { name: name.clone(), object, due, period };
    let kept = objects
        .keeper
        .change(|records| {
            let number = records.jobs.last_key_value().map_or(1, |(last, _)| last + 1);
            records.jobs.insert(number, job);
        })
        .await;
    kept.map_err(|error| objects.failed(METHOD, &error.to_string()))?;
    objects.notes.say(&format!("the app scheduled a job: {name}"));
    objects.jobs_changed.notify_one();
    Ok(())
}

/// Runs what is due, for ever.
pub(crate) async fn run(grain: Rc<Grain>) {
    let objects = grain.objects.clone();
    let mut tries: std::collections::HashMap<u64, u32> = std::collections::HashMap::new();
    loop {
        let next = objects.keeper.read(|records| {
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
                let error = crate::serve::printable(&error);
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
            .keeper
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
