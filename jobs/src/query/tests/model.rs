//! Random data and random conditions: a query's answer is that of a loop over all rows.

use proptest::prelude::*;

use super::{MAY, TickRow, ask, write_ticks};
use crate::query::Table;
use crate::query::parquet::time_text;

const NAMES: [&str; 4] = ["EUR/USD", "GBPUSD", "Ä", "a-b"];

fn row() -> impl Strategy<Value = TickRow> {
    let time = (0_i64..4 * 86_400).prop_map(|second| MAY + second * 1_000_000 / 2);
    let bid = prop::option::of(-5_i64..5).prop_map(|bid| bid.map(|bid| bid * 500_000_000));
    (0..NAMES.len(), time, bid, prop::option::of(-3_i64..3))
        .prop_map(|(name, time, bid, volume)| (NAMES[name], time, bid, volume))
}

#[derive(Debug, Clone)]
struct Condition {
    column: usize,
    operator: &'static str,
    row: TickRow,
}

impl Condition {
    fn sql(&self) -> String {
        let (name, time, bid, volume) = self.row;
        match self.column {
            0 => format!("instrument {} '{name}'", self.operator),
            1 => {
                format!("time {} '{}'", self.operator, time_text::time(i128::from(time) * 1000, 6))
            }
            2 => format!("bid {} {:?}", self.operator, bid.unwrap_or(0) as f64 / 1e9),
            _ => format!("volume {} {}", self.operator, volume.unwrap_or(0)),
        }
    }

    fn holds(&self, row: &TickRow) -> bool {
        let (name, time, bid, volume) = self.row;
        let order = match self.column {
            0 => Some(row.0.cmp(name)),
            1 => Some(row.1.cmp(&time)),
            2 => row.2.map(|value| value.cmp(&bid.unwrap_or(0))),
            _ => row.3.map(|value| value.cmp(&volume.unwrap_or(0))),
        };
        order.is_some_and(|order| match self.operator {
            "=" => order.is_eq(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            _ => order.is_ge(),
        })
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    (0..4_usize, prop::sample::select(vec!["=", "<", "<=", ">", ">="]), row())
        .prop_map(|(column, operator, row)| Condition { column, operator, row })
}

fn expected(rows: &[TickRow], conditions: &[Condition]) -> String {
    let mut names = NAMES;
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        let fits = |row: &&TickRow| row.0 == name && conditions.iter().all(|c| c.holds(row));
        let rows: Vec<_> = rows.iter().filter(fits).collect();
        if rows.is_empty() {
            continue;
        }
        let bid =
            |bid: Option<i64>| bid.map(|b| format!("{:?}", b as f64 / 1e9)).unwrap_or_default();
        let volumes: Vec<i64> = rows.iter().filter_map(|row| row.3).collect();
        let sum = if volumes.is_empty() {
            String::new()
        } else {
            volumes.iter().sum::<i64>().to_string()
        };
        let last = rows.iter().map(|row| row.1).max().unwrap_or(0);
        text.push_str(&format!(
            "{name},{},{},{},{sum},{}\n",
            rows.len(),
            bid(rows.iter().filter_map(|row| row.2).min()),
            bid(rows.iter().filter_map(|row| row.2).max()),
            time_text::time(i128::from(last) * 1_000, 6)
        ));
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_query_over_any_layout_of_files_equals_a_loop_over_all_rows(
        rows in prop::collection::vec(row(), 1..200),
        conditions in prop::collection::vec(condition(), 0..3),
        rows_per_group in 1_usize..40,
        by_folder in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        for name in NAMES {
            let own: Vec<_> = rows.iter().filter(|row| row.0 == name || !by_folder).copied().collect();
            let path = if by_folder {
                format!("instrument={}/0.parquet", name.replace('/', "%2F"))
            } else {
                "all.parquet".to_owned()
            };
            if !own.is_empty() {
                write_ticks(&folder.path().join(path), &own, rows_per_group);
            }
        }
        let tables = [Table::parquet("ticks", ".", folder.path())];
        let condition: String =
            conditions.iter().map(|condition| format!(" AND {}", condition.sql())).collect();
        let sql = format!(
            "SELECT instrument, count(*), min(bid), max(bid), sum(volume), max(time) FROM ticks \
             WHERE 1{condition} GROUP BY instrument ORDER BY instrument"
        );
        prop_assert_eq!(ask(&tables, &sql).unwrap(), expected(&rows, &conditions), "{}", sql);
    }
}
