//! Jobs that the app wants to have run: kept with the grain (grain-runtime §C.2).

use std::rc::Rc;

use capnp::Error;
use spk_grains::store::capabilities::{Job, Period};
use spk_grains::store::now;
use spk_schema::grain_capnp::{SchedulingPeriod, sandstorm_api, scheduled_job};

use super::{Objects, text};
use crate::serve::record_store::JOBS;

const NANOSECONDS: i64 = 1_000_000_000;

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
        .map_err(|error| objects.failed(METHOD, &crate::serve::exception::printable(&error)))?;
    if objects.records.read(|records| records.jobs.len() >= JOBS) {
        let reason = format!("the grain has {JOBS} jobs, the most it can have");
        return Err(objects.failed(METHOD, &reason));
    }
    let job = Job { name: name.clone(), object, due, period };
    let kept = objects
        .records
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
