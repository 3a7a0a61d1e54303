//! The functions that SQLite lacks.

use super::{ask, refusal};

#[test]
fn a_time_falls_into_its_bucket() {
    let cases = [
        ("time_bucket('15m', '2014-05-01T12:44:59.999999Z')", "2014-05-01T12:30:00Z\n"),
        ("time_bucket('1d', '2014-05-01T23:59:59Z')", "2014-05-01T00:00:00Z\n"),
        ("time_bucket('1h', '1969-12-31T23:59:59Z')", "1969-12-31T23:00:00Z\n"),
        ("time_bucket('1h', '2014-05-01')", "2014-05-01T00:00:00Z\n"),
        ("time_bucket('500ms', '2014-05-01T00:00:00.700Z')", "2014-05-01T00:00:00.500Z\n"),
        ("time_bucket('1h', NULL) IS NULL", "1\n"),
    ];
    for (expression, expected) in cases {
        assert_eq!(ask(&[], &format!("SELECT {expression}")).unwrap(), expected, "{expression}");
    }
    assert!(refusal(&[], "SELECT time_bucket('1x', '2014-05-01')").contains("not a duration"));
    assert!(refusal(&[], "SELECT time_bucket('0s', '2014-05-01')").contains("no length"));
    assert!(refusal(&[], "SELECT time_bucket('1h', 'noon')").contains("`noon` is no time"));
}

#[test]
fn numbers_have_roots_powers_and_a_spread() {
    let sql = "SELECT sqrt(9), pow(2, 10), floor(-1.5), ceil(1.2), ln(exp(2)), sqrt(-1) IS NULL, \
               sqrt(NULL) IS NULL";
    assert_eq!(ask(&[], sql).unwrap(), "3.0,1024.0,-2.0,2.0,2.0,1,1\n");
    let sql = "SELECT stddev(column1) FROM (VALUES (2), (4), (NULL), (6))";
    assert_eq!(ask(&[], sql).unwrap(), "2.0\n");
    assert_eq!(ask(&[], "SELECT stddev(1) IS NULL").unwrap(), "1\n");
}
