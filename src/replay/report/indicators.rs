//! The indicators in a report.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::tr101290::Indicator;

/// One figure for each indicator, in the order of the tables of ETSI TR 101 290.
#[derive(Clone, Debug, PartialEq)]
pub struct Indicators([IndicatorReport; Indicator::COUNT]);

impl Default for Indicators {
    fn default() -> Self {
        let mut all = Self(
            Indicator::ALL
                .map(|indicator| IndicatorReport { priority: indicator.priority(), ..IndicatorReport::default() }),
        );
        all.report_mut(Indicator::PcrAccuracyError).measurable = Some(false);
        all
    }
}

impl Indicators {
    /// That of one indicator.
    pub fn report(&self, indicator: Indicator) -> &IndicatorReport {
        &self.0[indicator.index()]
    }

    /// That of one indicator, to fill in.
    pub fn report_mut(&mut self, indicator: Indicator) -> &mut IndicatorReport {
        &mut self.0[indicator.index()]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Indicator, &IndicatorReport)> {
        Indicator::ALL.into_iter().zip(&self.0)
    }
}

impl Serialize for Indicators {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Indicator::COUNT))?;
        for (indicator, report) in self.iter() {
            map.serialize_entry(indicator.name(), report)?;
        }
        map.end()
    }
}

/// One indicator.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IndicatorReport {
    /// 1, 2 or 3.
    pub priority: u8,
    /// How many events there were.
    pub count: u64,
    /// When the first one was, in seconds from the start.
    pub first: Option<f64>,
    /// When the last one was.
    pub last: Option<f64>,
    /// Whether the thing is missing at the end.
    pub state: bool,
    /// Whether it can be told at all, for the indicator of which that depends on the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measurable: Option<bool>,
    /// The latest events, the oldest first.
    pub latest: Vec<Occurrence>,
}

impl IndicatorReport {
    /// Whether there is something to tell.
    pub const fn is_raised(&self) -> bool {
        self.count > 0 || self.state
    }
}

/// One event of an indicator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Occurrence {
    /// When, in seconds from the start.
    pub at: f64,
    /// How many packets came before it.
    pub packet: u64,
    /// On which PID; none where it is the whole stream's.
    pub pid: Option<u16>,
    /// Of which program; none where it belongs to none.
    pub program: Option<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_every_indicator_in_the_order_of_the_tables() {
        let mut indicators = Indicators::default();
        let continuity = indicators.report_mut(Indicator::ContinuityCountError);
        (continuity.count, continuity.first, continuity.last) = (3, Some(1.25), Some(9.1));
        continuity.latest.push(Occurrence { at: 9.1, packet: 812, pid: Some(256), program: None });
        let json = serde_json::to_string(&indicators).unwrap();
        let mut rest = json.as_str();
        for indicator in Indicator::ALL {
            let key = format!("\"{}\":{{\"priority\":{},\"count\":", indicator.name(), indicator.priority());
            let at = rest.find(&key).unwrap_or_else(|| panic!("{key} in {rest}"));
            rest = &rest[at..];
        }
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            value["continuity_count_error"],
            serde_json::json!({"priority": 1, "count": 3, "first": 1.25, "last": 9.1, "state": false,
                               "latest": [{"at": 9.1, "packet": 812, "pid": 256, "program": null}]})
        );
        assert_eq!(value["pcr_accuracy_error"]["measurable"], false);
    }
}
