//! Linux reports to a timer on the wall clock that the clock was set, or that the machine was suspended and the clock
//! went on in the meantime.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

pub struct ClockTimer(OwnedFd);

impl ClockTimer {
    pub fn new() -> io::Result<Self> {
        let timer = Self(timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC)?);
        timer.set()?;
        Ok(timer)
    }

    /// Calls `changed` whenever the clock was set. Returns only if that cannot be observed any more.
    pub fn wait_for_changes(&self, changed: impl Fn()) -> io::Error {
        loop {
            // A read of an expired timer takes a counter of 8 bytes.
            match rustix::io::read(&self.0, &mut [0; 8]) {
                Ok(_) | Err(Errno::CANCELED) => changed(),
                Err(Errno::INTR) => continue,
                Err(error) => return error.into(),
            }
            if let Err(error) = self.set() {
                return error;
            }
        }
    }

    /// The timer expires in the distant future: in practice its only event is that the clock was set.
    fn set(&self) -> io::Result<()> {
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        let never = Timespec { tv_sec: i64::from(u32::MAX), tv_nsec: 0 };
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match timerfd_settime(&self.0, flags, &Itimerspec { it_interval: once, it_value: never }) {
            // The clock was set since the last call; the timer is set nevertheless.
            Ok(_) | Err(Errno::CANCELED) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
