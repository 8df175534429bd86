//! Whether ovs-vswitchd runs, by two witnesses: the lock on its pid file, and the number of
//! the configuration that it took over. A lock that nobody holds is of a dead switch,
//! unless something takes configurations over all the same: then the pid file that we look
//! at is another's. Pure.

use crate::findings::SwitchAck;
use crate::switch_state::SwitchProcess;

/// What the two said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwitchLife {
    /// By the lock; `None` where the run folder is not on this host.
    lock: Option<SwitchProcess>,
    /// The count of full syncs when `cur_cfg` was last seen.
    syncs: Option<u64>,
    /// `cur_cfg` as it was seen first after the lock was free: what was on its way then may
    /// be of before.
    when_free: Option<i64>,
    /// It has grown since.
    goes_on: bool,
}

impl SwitchLife {
    /// The lock was looked at.
    pub fn saw_lock(&mut self, lock: SwitchProcess) {
        self.lock = Some(lock);
        if lock != SwitchProcess::Dead {
            (self.when_free, self.goes_on) = (None, false);
        }
    }

    /// The database says that this configuration was taken over, and whether the newest one
    /// was. Numbers of another sync may be of another database.
    pub fn saw_configuration(&mut self, syncs: u64, number: i64, ack: SwitchAck) {
        let same = self.syncs.replace(syncs) == Some(syncs);
        if self.lock != Some(SwitchProcess::Dead) {
            return;
        }
        match self.when_free.filter(|_| same) {
            Some(free) if number > free => self.goes_on = true,
            Some(_) => {}
            None => self.when_free = Some(number),
        }
        // Whatever went on does not any longer.
        if ack == SwitchAck::Overdue {
            (self.when_free, self.goes_on) = (Some(number), false);
        }
    }

    /// Whether it runs; `None` where there is no telling at all.
    pub fn process(&self) -> Option<SwitchProcess> {
        match self.lock {
            Some(SwitchProcess::Dead) if self.goes_on => Some(SwitchProcess::Elsewhere),
            lock => lock,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: SwitchAck = SwitchAck::Done;

    #[test]
    fn a_switch_that_takes_configurations_over_is_not_dead_whatever_its_pid_file_says() {
        let mut life = SwitchLife::default();
        assert_eq!(life.process(), None);
        life.saw_lock(SwitchProcess::Dead);
        life.saw_configuration(1, 7, DONE);
        assert_eq!(
            life.process(),
            Some(SwitchProcess::Dead),
            "it may have died since"
        );
        life.saw_lock(SwitchProcess::Dead);
        life.saw_configuration(1, 8, DONE);
        assert_eq!(life.process(), Some(SwitchProcess::Elsewhere));
        life.saw_lock(SwitchProcess::Dead);
        life.saw_configuration(1, 8, SwitchAck::Pending);
        assert_eq!(life.process(), Some(SwitchProcess::Elsewhere));
        life.saw_configuration(1, 8, SwitchAck::Overdue);
        assert_eq!(life.process(), Some(SwitchProcess::Dead));
        life.saw_lock(SwitchProcess::Alive);
        assert_eq!(life.process(), Some(SwitchProcess::Alive));
    }

    #[test]
    fn what_a_switch_took_over_before_it_died_and_the_numbers_of_another_database_prove_nothing() {
        let mut life = SwitchLife::default();
        life.saw_lock(SwitchProcess::Alive);
        life.saw_configuration(1, 7, DONE);
        life.saw_configuration(1, 8, DONE);
        life.saw_lock(SwitchProcess::Dead);
        life.saw_configuration(1, 8, DONE);
        assert_eq!(life.process(), Some(SwitchProcess::Dead));
        life.saw_configuration(2, 70, DONE);
        assert_eq!(life.process(), Some(SwitchProcess::Dead));
        life.saw_configuration(2, 71, DONE);
        assert_eq!(life.process(), Some(SwitchProcess::Elsewhere));
    }

    #[test]
    fn without_a_pid_file_nothing_is_concluded() {
        let mut life = SwitchLife::default();
        life.saw_lock(SwitchProcess::Unknown);
        life.saw_configuration(1, 1, DONE);
        life.saw_configuration(1, 2, DONE);
        assert_eq!(life.process(), Some(SwitchProcess::Unknown));
    }
}
