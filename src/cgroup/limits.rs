//! The limits that a container is made with.

use super::controller::Controller;
use crate::config::LimitNumbers;
use crate::{DeviceRule, Limit, Result};

/// The limits that a container is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(super) numbers: LimitNumbers,
    /// The devices that can be opened; any where there is no list.
    pub(crate) devices: Option<Vec<DeviceRule>>,
}

impl Limits {
    pub(crate) fn new(numbers: LimitNumbers, devices: Option<Vec<DeviceRule>>) -> Self {
        Self { numbers, devices }
    }

    pub(super) fn get(&self, limit: Limit) -> Option<u64> {
        self.numbers[limit as usize]
    }

    /// Whether the controller is needed for one of them.
    pub(super) fn need(&self, controller: Controller) -> bool {
        match controller {
            Controller::Devices => self.devices.is_some(),
            _ => controller.limits().any(|limit| self.get(limit).is_some()),
        }
    }

    /// Refuses what no container can live with.
    pub(crate) fn check(&self) -> Result<()> {
        Limit::ALL.into_iter().try_for_each(|limit| self.get(limit).map_or(Ok(()), limit.rule().check))
    }
}
