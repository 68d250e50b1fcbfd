//! [`Groups`] behind DataFusion's accumulator traits.

use std::collections::VecDeque;

use arrow::{
    array::{Array, ArrayRef, BooleanArray},
    compute::concat,
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{Accumulator, EmitTo, GroupsAccumulator},
};
use parking_lot::Mutex;

use super::Groups;

/// Many groups.
pub(super) struct GroupsAdapter(Box<dyn Groups>);

impl GroupsAdapter {
    pub(super) fn new(groups: Box<dyn Groups>) -> Self {
        Self(groups)
    }

    fn range(&self, emit_to: EmitTo) -> std::ops::Range<usize> {
        match emit_to {
            EmitTo::All => 0..self.0.groups(),
            EmitTo::First(groups) => 0..groups,
        }
    }
}

impl GroupsAccumulator for GroupsAdapter {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.0.resize(total_num_groups);
        self.0.update(values, group_indices, opt_filter)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let range = self.range(emit_to);
        let result = self.0.result(range.clone())?;
        self.0.drop_first(range.end);
        Ok(result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let range = self.range(emit_to);
        let state = self.0.state(range.clone())?;
        self.0.drop_first(range.end);
        Ok(state)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.0.resize(total_num_groups);
        self.0.merge(values, group_indices)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |array| array.len());
        let groups: Vec<usize> = (0..rows).collect();
        let mut fresh = self.0.fresh();
        fresh.resize(rows);
        fresh.update(values, &groups, opt_filter)?;
        fresh.state(0..rows)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

/// One group. The lock is never contended: DataFusion asks for `Sync` but calls with `&mut`.
#[derive(Debug)]
pub(super) struct SingleAdapter {
    groups: Mutex<Box<dyn Groups>>,
    /// Zeros, one for each row of the longest batch seen.
    indexes: Vec<usize>,
}

impl SingleAdapter {
    pub(super) fn new(mut groups: Box<dyn Groups>) -> Self {
        groups.resize(1);
        Self { groups: Mutex::new(groups), indexes: Vec::new() }
    }
}

impl Accumulator for SingleAdapter {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |array| array.len());
        self.indexes.resize(rows.max(self.indexes.len()), 0);
        self.groups.get_mut().update(values, &self.indexes[..rows], None)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.groups.get_mut().result(0..1)?, 0)
    }

    fn size(&self) -> usize {
        self.groups.lock().size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.groups.get_mut().state(0..1)?;
        state.iter().map(|array| ScalarValue::try_from_array(array, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |array| array.len());
        self.groups.get_mut().merge(states, &vec![0; rows])
    }
}

/// One group over a window frame whose start moves: keeps the rows of the frame and computes anew.
#[derive(Debug)]
pub(super) struct SlidingAdapter {
    groups: Mutex<Box<dyn Groups>>,
    /// The frame's rows in slices of the batches they came in.
    frame: VecDeque<Vec<ArrayRef>>,
}

impl SlidingAdapter {
    pub(super) fn new(groups: Box<dyn Groups>) -> Self {
        Self { groups: Mutex::new(groups), frame: VecDeque::new() }
    }
}

impl Accumulator for SlidingAdapter {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.frame.push_back(values.to_vec());
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut rows = values.first().map_or(0, |array| array.len());
        while rows > 0
            && let Some(front) = self.frame.pop_front()
        {
            let length = front.first().map_or(0, |array| array.len());
            if length > rows {
                let kept = front.iter().map(|array| array.slice(rows, length - rows)).collect();
                self.frame.push_front(kept);
            }
            rows = rows.saturating_sub(length);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // One call over one array is far cheaper than one for each row, and batches tend to be single rows here.
        if self.frame.len() > 1 {
            let columns = self.frame[0].len();
            let column = |at: usize| {
                let parts: Vec<&dyn Array> =
                    self.frame.iter().map(|values: &Vec<ArrayRef>| values[at].as_ref()).collect();
                concat(&parts)
            };
            let merged = (0..columns).map(column).collect::<std::result::Result<Vec<_>, _>>()?;
            self.frame = VecDeque::from([merged]);
        }
        let mut fresh = self.groups.get_mut().fresh();
        fresh.resize(1);
        for values in &self.frame {
            let rows = values.first().map_or(0, |array| array.len());
            fresh.update(values, &vec![0; rows], None)?;
        }
        ScalarValue::try_from_array(&fresh.result(0..1)?, 0)
    }

    fn size(&self) -> usize {
        self.frame.iter().flatten().map(|array| array.get_array_memory_size()).sum()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        datafusion::common::internal_err!("a window frame has no partial state")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        datafusion::common::internal_err!("a window frame has no partial state")
    }
}
