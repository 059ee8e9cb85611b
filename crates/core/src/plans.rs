//! The limits of everybody, and those of users whose token names a plan.

use crate::limits::Limits;

/// Which plan a user is on; the default stands for "none that is known".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlanId(u16);

/// All plans, made once at start.
///
/// A plan is a whole [`Limits`]: whoever reads the configuration lays the plan's keys over those of everybody.
#[derive(Clone, Debug)]
pub struct Plans {
    /// The first has no name: it is everybody's.
    limits: Vec<Limits>,
    names: Vec<Box<str>>,
}

impl Plans {
    /// No plan but these limits for everybody.
    #[must_use]
    pub fn new(everybody: Limits) -> Self {
        Self { limits: vec![everybody], names: Vec::new() }
    }

    /// Adds a plan; of two with one name the first counts. At most 65,535 plans can be told apart.
    #[must_use]
    pub fn with(mut self, name: &str, limits: Limits) -> Self {
        if self.names.len() < usize::from(u16::MAX) {
            self.names.push(name.into());
            self.limits.push(limits);
        }
        self
    }

    /// Whether anybody's limits forecast.
    pub(crate) fn foretell(&self) -> bool {
        self.limits.iter().any(|limits| limits.forecast.is_some())
    }

    /// The plan that a token names; none for a name that no plan has.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PlanId> {
        let place = self.names.iter().position(|known| **known == *name)?;
        u16::try_from(place + 1).ok().map(PlanId)
    }

    /// The name of a plan; none for that of everybody.
    #[must_use]
    pub fn name(&self, plan: PlanId) -> Option<&str> {
        let place = usize::from(plan.0).checked_sub(1)?;
        self.names.get(place).map(|name| &**name)
    }

    /// The limits of a plan; those of everybody for an id of other plans than these.
    #[must_use]
    pub fn limits(&self, plan: PlanId) -> &Limits {
        self.limits.get(usize::from(plan.0)).unwrap_or(&self.limits[0])
    }
}

impl From<Limits> for Plans {
    fn from(everybody: Limits) -> Self {
        Self::new(everybody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LimitSpec;

    #[test]
    fn a_plan_is_found_by_its_name_and_an_unknown_one_is_not() {
        let pro = Limits::new(LimitSpec { max_sessions_per_user: 40, ..LimitSpec::default() }).unwrap();
        let plans = Plans::new(Limits::default()).with("pro", pro);
        let found = plans.find("pro").unwrap();
        assert_eq!(plans.limits(found).max_sessions_per_user, 40);
        assert_eq!(plans.find("PRO"), None);
        assert_eq!(plans.limits(PlanId::default()).max_sessions_per_user, 20);
    }
}
