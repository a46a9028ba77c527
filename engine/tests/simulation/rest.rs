//! When faults stop and everybody does what is asked of them, a world comes to rest: every run ends, or
//! stands still because somebody named wants it so, and ends when they let it.

use fleetprompt_core::directive::HandlerKind;
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::run::{Awaited, Place, Run, Status, Step, StepStatus};
use fleetprompt_core::{RunId, Span};
use fleetprompt_engine::Task;
use serde_json::{Map, Value, json};

use crate::check::{self, Held, hold};
use crate::definition;
use crate::moves::plain_signal;
use crate::seen::in_flight;
use crate::world::World;

/// More than any world of this size needs.
const ROUNDS_MAX: usize = 8_000;
/// In each round of the rest a world is looked at about this often, while effects end.
pub const LOOKS: usize = 20;
/// More than this come of runs whose ends start others; these would be more in each round.
const OPEN_MANY: usize = 100;

pub fn come_to_rest(world: &mut World) -> Held {
    world.story.tell(|| "from here on all goes well".to_owned());
    for number in 0..world.partitions.len() {
        world.take(number, world.partitions[number].ahead)?;
    }
    world.verified()?;
    world.look()?;
    until_quiet(world, |run| matches!(run.status, Status::Paused | Status::Parked))?;
    let_all_end(world)?;
    until_quiet(world, |_| false)?;
    check::told::all_there(world)?;
    world.verified()
}

fn until_quiet(world: &mut World, may_stay: fn(&Run) -> bool) -> Held {
    let mut starts_more = true;
    for round in 0..ROUNDS_MAX {
        let is_done = world.seen.open_runs().all(may_stay) && world.tasks.is_empty();
        if is_done && world.seen.directives.values().all(|one| one.status.is_settled()) {
            return Ok(());
        }
        do_what_is_asked(world, round)?;
        if let Some(due) = world.next_due().filter(|due| *due > world.now && round % 2 == 1) {
            world.set_time(due);
            world.look()?;
        }
        // A fact that ends a wait may start a run that waits for one.
        if starts_more && (round == 30 || world.seen.open_runs().count() > OPEN_MANY) {
            start_nothing_new(world)?;
            starts_more = false;
        }
        // Parents of runs that stand still, and whoever waits for what these hold, do so as well.
        if round > 40 && !world.seen.open_runs().all(may_stay) {
            let_all_end(world)?;
        }
    }
    let waits = |(place, step): (Place, &Step)| format!("step {} {} {:?}", place.step, step.status, step.waiting);
    let describe = |run: &Run| {
        format!("{} ({}): {}", run.id, run.status, in_flight(run).map(waits).collect::<Vec<_>>().join(", "))
    };
    let open: Vec<String> = world.seen.open_runs().map(describe).collect();
    let directives: Vec<String> =
        world.seen.directives.values().filter(|one| !one.status.is_settled()).map(|one| one.id.to_string()).collect();
    Err(format!("the world does not come to rest: {} {}", open.join(", "), directives.join(", ")))
}

fn do_what_is_asked(world: &mut World, round: usize) -> Held {
    // Few end one by one, and many together.
    let mut tasks = std::mem::take(&mut world.tasks);
    let together = tasks.len().div_ceil(LOOKS).max(1);
    while !tasks.is_empty() {
        let rest = tasks.split_off(together.min(tasks.len()));
        // Until they have ended, they are under way.
        drop(world.tasks.splice(..0, rest.iter().cloned()));
        for task in tasks {
            let answer = world.ledger.answer(task.begun);
            end(world, &task, json!({"ok": true, "answer": answer}));
        }
        (0..world.partitions.len()).for_each(|number| world.engine(number).decide_all());
        world.look()?;
        world.tasks.drain(..rest.len());
        tasks = rest;
    }
    world.workers_finish()?;
    let manual =
        |one: &&fleetprompt_core::directive::Directive| one.handler == HandlerKind::Manual && !one.status.is_settled();
    let reports: Vec<_> = world.seen.directives.values().filter(manual).map(|one| (one.id, one.tenant)).collect();
    for (id, tenant) in reports {
        let house = world.house_of(tenant).clone();
        world.story.tell(|| format!("{id} went well"));
        let reported = world.engine(house.partition).directive_report(&house.owner, id, Ok(json!({"ok": true}).into()));
        let is_settled = reported.is_ok() || world.seen.directives[&id].status.is_settled();
        hold(is_settled, || format!("{id} cannot be reported"))?;
        world.look()?;
    }
    for (number, (run, place)) in world.answerable().into_iter().enumerate() {
        let is_there = world.answerable().contains(&(run, place));
        if is_there && !matches!(world.seen.runs[&run].status, Status::Paused | Status::Parked) {
            let house = world.house_of(world.seen.runs[&run].tenant).clone();
            let key = format!("rest{round}_{number}_{}", world.seen.signals);
            let asked = world.answer_place(&house.owner, run, place, "output", json!({"ok": true}), key);
            hold(asked.is_ok_and(|asked| asked.directive.error.is_none()), || {
                format!("{run} cannot be answered at {place:?}")
            })?;
            world.look()?;
        }
    }
    let awaited: Vec<_> = world
        .seen
        .open_runs()
        .flat_map(|run| awaited_signals(run).into_iter().map(|event| (run.tenant, event)))
        .collect();
    for (tenant, (name, payload)) in awaited {
        let house = world.house_of(tenant).clone();
        world.tell(&house.owner, vec![plain_signal(&name, payload)], Vec::new())?;
        world.look()?;
        if round > 4 {
            break;
        }
    }
    Ok(())
}

fn end(world: &mut World, task: &Task, output: Value) {
    world.story.tell(|| format!("{} ends: {output}", task.key));
    world.engine_of(task.tenant).enqueue_end(task, Ok(output.into()));
}

/// For each wait of a run the first signal that would end it.
fn awaited_signals(run: &Run) -> Vec<(String, Value)> {
    let waiting = in_flight(run).filter(|(_, step)| step.status == StepStatus::Waiting);
    let event = |what: &Awaited| match what {
        Awaited::Signal { events, .. } => events.first().map(|event| {
            let mut payload = Map::from_iter([("yes".to_owned(), true.into()), ("k".to_owned(), "a".into())]);
            for (path, value) in &event.matches {
                payload.insert(path.trim_start_matches("payload.").to_owned(), value.clone());
            }
            (event.name.to_string(), Value::from(payload))
        }),
        _ => None,
    };
    waiting.filter_map(|(_, step)| event(&step.waiting.as_ref()?.what)).collect()
}

fn start_nothing_new(world: &mut World) -> Held {
    for house in world.houses.clone() {
        for level in 0..house.levels {
            let slug = definition::slug(level).parse().expect("a slug");
            // One that is archived starts nothing either.
            let _ = world.engine(house.partition).workflow_status_set(&house.owner, slug, WorkflowStatus::Paused);
        }
    }
    world.look()
}

/// Whoever made them stand still lets them go on, or end.
fn let_all_end(world: &mut World) -> Held {
    let still: Vec<(RunId, Status)> = world.seen.open_runs().map(|run| (run.id, run.status)).collect();
    for (number, (id, _)) in still.into_iter().enumerate() {
        let run = &world.seen.runs[&id];
        let (name, tenant) = match run.status {
            Status::Paused => ("workflow.run.resume", run.tenant),
            Status::Parked => ("workflow.run.cancel", run.tenant),
            _ => continue,
        };
        let house = world.house_of(tenant).clone();
        let payload = json!({"run_id": id, "reason": "it is time"});
        let key = format!("end{number}_{}", world.seen.signals);
        let asked = world.ask(&house.owner, name, key, payload);
        hold(asked.as_ref().is_ok_and(|asked| asked.directive.error.is_none()), || {
            format!("{name} of {id}: {asked:?}")
        })?;
        world.look()?;
    }
    world.pass(Span::from_millis(1));
    world.look()
}
