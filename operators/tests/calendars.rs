//! Trading days, sessions and windows on the days that calendars get wrong.

use chrono::{Datelike, NaiveDate, NaiveTime};
use operators::calendar::config::CalendarConfig;
use operators::calendar::{Calendar, TradingDay, file};
use operators::ohlcv::window::{Frame, Window, arrange};
use proto::event_time::EventTime;
use serde_json::{Value, json};

use crate::support::{at, data};

fn calendar(config: Value) -> Calendar {
    let config: CalendarConfig = serde_json::from_value(config).unwrap();
    config.build("calendar", std::path::Path::new(".")).unwrap()
}

fn frame(timeframe: &str) -> Frame {
    arrange(vec![timeframe.parse().unwrap()]).remove(0)
}

/// `start..end date` of the window of `timeframe` at `time`.
fn window(calendar: &Calendar, timeframe: &str, time: &str) -> String {
    let time = at(time);
    let day = calendar.day_of(time);
    let Window { start, end, trading_date } = frame(timeframe).window(&day, time.ns());
    let date = NaiveDate::from_epoch_days(trading_date).unwrap();
    format!("{}..{} {date}", EventTime::from_ns(start), EventTime::from_ns(end))
}

fn hours(day: &TradingDay) -> i64 {
    (day.end.ns() - day.start.ns()) / 3_600_000_000_000
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn a_forex_day_runs_from_five_to_five_in_new_york_and_is_dated_by_its_end() {
    let forex = calendar(json!("forex"));
    // Sunday evening belongs to Monday, in summer (UTC-4) and in winter (UTC-5).
    let monday = "2024-07-07T21:00:00Z..2024-07-08T21:00:00Z 2024-07-08";
    assert_eq!(window(&forex, "1d", "2024-07-07T21:00:00"), monday);
    let monday = "2024-01-07T22:00:00Z..2024-01-08T22:00:00Z 2024-01-08";
    assert_eq!(window(&forex, "1d", "2024-01-08T21:59:59"), monday);
}

#[test]
fn forex_is_closed_from_friday_five_to_sunday_five() {
    let forex = calendar(json!("forex"));
    for (time, is_open) in [
        ("2024-01-05T21:59:59.999999999", true),
        ("2024-01-05T22:00:00", false),
        ("2024-01-06T12:00:00", false),
        ("2024-01-07T21:59:59.999999999", false),
        ("2024-01-07T22:00:00", true),
        // The clocks went forward on this Sunday: 17:00 is 21:00 UTC from then on.
        ("2024-03-10T20:59:59", false),
        ("2024-03-10T21:00:00", true),
        ("2024-03-08T21:59:59", true),
    ] {
        assert_eq!(forex.in_session(at(time)), is_open, "{time}");
    }
}

#[test]
fn days_with_a_clock_change_have_23_or_25_hours_and_still_meet() {
    let forex = calendar(json!("forex"));
    assert_eq!(hours(&forex.day(date("2024-03-10"))), 23);
    assert_eq!(hours(&forex.day(date("2024-11-03"))), 25);
    let berlin = calendar(json!({ "timezone": "Europe/Berlin" }));
    assert_eq!(hours(&berlin.day(date("2024-03-31"))), 23);
    assert_eq!(hours(&berlin.day(date("2024-10-27"))), 25);
    // Midnight itself does not exist on this day in Sao Paulo.
    let sao_paulo = calendar(json!({ "timezone": "America/Sao_Paulo" }));
    for calendar in [&forex, &berlin, &sao_paulo] {
        let mut last = calendar.day(date("2017-12-31"));
        for number in 0..3_000 {
            let day = calendar.day_of(last.end);
            assert_eq!(
                (day.start, day.trading_date),
                (last.end, last.trading_date + 1),
                "{number}"
            );
            assert_eq!(calendar.day_of(EventTime::from_ns(day.end.ns() - 1)), day);
            last = day;
        }
    }
}

#[test]
fn four_hours_count_from_the_start_of_the_day_and_the_last_is_cut_at_its_end() {
    let berlin = calendar(json!({ "timezone": "Europe/Berlin" }));
    // 23 hours: the sixth window has three.
    let last = "2024-03-31T19:00:00Z..2024-03-31T22:00:00Z 2024-03-31";
    assert_eq!(window(&berlin, "4h", "2024-03-31T21:59:00"), last);
    let next = "2024-03-31T22:00:00Z..2024-04-01T02:00:00Z 2024-04-01";
    assert_eq!(window(&berlin, "4h", "2024-03-31T22:00:00"), next);
    // 25 hours: a seventh window of one hour.
    let last = "2024-10-27T22:00:00Z..2024-10-27T23:00:00Z 2024-10-27";
    assert_eq!(window(&berlin, "4h", "2024-10-27T22:30:00"), last);
    // Forex: at 17:00, 21:00, 01:00 in New York, whatever UTC says.
    let forex = calendar(json!("forex"));
    let winter = "2024-03-08T18:00:00Z..2024-03-08T22:00:00Z 2024-03-08";
    assert_eq!(window(&forex, "4h", "2024-03-08T21:00:00"), winter);
    let summer = "2024-03-10T21:00:00Z..2024-03-11T01:00:00Z 2024-03-11";
    assert_eq!(window(&forex, "4h", "2024-03-10T22:00:00"), summer);
    // Five hours do not divide a day.
    let last = "2024-05-15T17:00:00Z..2024-05-15T21:00:00Z 2024-05-15";
    assert_eq!(window(&forex, "5h", "2024-05-15T18:00:00"), last);
}

#[test]
fn short_frames_lie_on_the_utc_grid_where_the_day_starts_on_it() {
    let forex = calendar(json!("forex"));
    for (timeframe, seconds) in [("1s", 1), ("1m", 60), ("15m", 900), ("1h", 3_600)] {
        let time = at("2024-11-04T13:37:21.5");
        let window = frame(timeframe).window(&forex.day_of(time), time.ns());
        assert_eq!(window.start % (seconds * 1_000_000_000), 0, "{timeframe}");
    }
}

#[test]
fn a_forex_week_runs_from_sunday_to_friday() {
    let forex = calendar(json!("forex"));
    let week = "2024-03-10T21:00:00Z..2024-03-15T21:00:00Z 2024-03-11";
    assert_eq!(window(&forex, "1w", "2024-03-10T21:00:00"), week);
    assert_eq!(window(&forex, "1w", "2024-03-15T20:59:59"), week);
    let utc = calendar(json!("24x7"));
    let week = "2024-03-11T00:00:00Z..2024-03-18T00:00:00Z 2024-03-11";
    assert_eq!(window(&utc, "1w", "2024-03-17T23:59:59"), week);
}

#[test]
fn equities_count_from_the_open_and_end_with_the_close() {
    let nyse = calendar(json!("equities"));
    let first = "2024-07-02T13:30:00Z..2024-07-02T14:30:00Z 2024-07-02";
    assert_eq!(window(&nyse, "1h", "2024-07-02T13:45:00"), first);
    let last = "2024-07-02T19:30:00Z..2024-07-02T20:00:00Z 2024-07-02";
    assert_eq!(window(&nyse, "1h", "2024-07-02T19:45:00"), last);
    let day = "2024-07-02T13:30:00Z..2024-07-02T20:00:00Z 2024-07-02";
    assert_eq!(window(&nyse, "1d", "2024-07-02T15:00:00"), day);
    // The day before the Fourth ends at 13:00; the week ends on Friday at 16:00.
    let early = "2024-07-03T13:30:00Z..2024-07-03T17:00:00Z 2024-07-03";
    assert_eq!(window(&nyse, "1d", "2024-07-03T15:00:00"), early);
    assert!(!nyse.in_session(at("2024-07-03T17:00:00")));
    assert!(!nyse.in_session(at("2024-07-04T15:00:00")));
    let week = "2024-07-01T13:30:00Z..2024-07-05T20:00:00Z 2024-07-01";
    assert_eq!(window(&nyse, "1w", "2024-07-03T15:00:00"), week);
    // Good Friday: the week ends on Thursday.
    let week = "2024-03-25T13:30:00Z..2024-03-28T20:00:00Z 2024-03-25";
    assert_eq!(window(&nyse, "1w", "2024-03-28T15:00:00"), week);
}

#[test]
fn extended_hours_are_in_session_where_they_are_asked_for() {
    let regular = calendar(json!("equities"));
    let extended = calendar(json!({ "name": "equities", "extended_hours": true }));
    for time in ["2024-07-02T08:00:00", "2024-07-02T23:59:59"] {
        assert!(!regular.in_session(at(time)) && extended.in_session(at(time)), "{time}");
    }
    let first = "2024-07-02T08:00:00Z..2024-07-02T09:00:00Z 2024-07-02";
    assert_eq!(window(&extended, "1h", "2024-07-02T08:30:00"), first);
}

#[test]
fn with_a_timezone_alone_nothing_is_out_of_session() {
    let fixed = calendar(json!({ "timezone": "-05:00", "day_start": "00:00" }));
    let sunday = "2024-03-10T05:00:00Z..2024-03-11T05:00:00Z 2024-03-10";
    assert_eq!(window(&fixed, "1d", "2024-03-10T12:00:00"), sunday);
    assert!(fixed.in_session(at("2024-03-09T12:00:00")));
    // From noon on, a day carries the date on which it ends.
    let afternoon = calendar(json!({ "timezone": "America/New_York", "day_start": "17:00" }));
    let monday = "2024-03-10T21:00:00Z..2024-03-11T21:00:00Z 2024-03-11";
    assert_eq!(window(&afternoon, "1d", "2024-03-10T21:00:00"), monday);
}

#[test]
fn what_is_wrong_with_a_calendar_is_said_field_by_field() {
    let wrong = |config: Value| -> Vec<String> {
        let config: CalendarConfig = serde_json::from_value(config).unwrap();
        config.check().into_iter().map(|(field, _)| field).collect()
    };
    assert_eq!(wrong(json!({})), [""]);
    assert_eq!(wrong(json!({ "timezone": "Mars", "day_start": "5pm" })), ["timezone", "day_start"]);
    assert_eq!(wrong(json!({ "file": "x.json" })), ["entry"]);
    assert_eq!(wrong(json!({ "name": "forex", "extended_hours": true })), ["extended_hours"]);
    for config in [json!("fx"), json!({ "zone": "UTC" }), json!(7)] {
        let error = serde_json::from_value::<CalendarConfig>(config).unwrap_err().to_string();
        assert!(error.contains("expected"), "{error}");
    }
}

/// A small market-hours file of one's own.
fn hours_file() -> String {
    let day = json!([
        { "start": "00:00:00", "end": "16:58:00", "state": "market" },
        { "start": "17:03:00", "end": "1.00:00:00", "state": "market" },
    ]);
    json!({ "entries": { "fx": {
        "exchangeTimeZone": "America/New_York",
        "monday": day, "tuesday": day, "wednesday": day, "thursday": day,
        "friday": [{ "start": "00:00:00", "end": "16:58:00", "state": "market" }],
        "sunday": [{ "start": "17:03:00", "end": "1.00:00:00", "state": "market" }],
        "holidays": ["12/25/2024"],
        "earlyCloses": { "12/24/2024": "14:00:00" },
        "lateOpens": { "12/26/2024": "02:00:00" },
    } } })
    .to_string()
}

#[test]
fn a_file_gives_breaks_holidays_early_closes_and_late_opens() {
    let calendar = file::parse(&hours_file(), "fx", None, false).unwrap();
    assert_eq!(calendar.day_start, NaiveTime::from_hms_opt(17, 0, 0).unwrap());
    for (time, is_open) in [
        ("2024-12-18T21:57:59", true),
        ("2024-12-18T21:58:00", false),
        ("2024-12-18T22:02:59", false),
        ("2024-12-18T22:03:00", true),
        ("2024-12-24T18:59:59", true),
        ("2024-12-24T19:00:00", false),
        ("2024-12-25T15:00:00", false),
        ("2024-12-26T06:59:59", false),
        ("2024-12-26T07:00:00", true),
    ] {
        assert_eq!(calendar.in_session(at(time)), is_open, "{time}");
    }
    // Over the counter, the day's window ends with the day, not with the last session.
    let day = "2024-12-17T22:00:00Z..2024-12-18T22:00:00Z 2024-12-18";
    assert_eq!(window(&calendar, "1d", "2024-12-18T12:00:00"), day);
    let refused = file::parse(&hours_file(), "gold", None, false).unwrap_err();
    assert!(refused.contains("gold") && refused.contains("fx"), "{refused}");
}

#[test]
fn the_published_market_hours_are_read() {
    let Some(path) = data("calendar/market-hours.json") else { return };
    let read = |entry: &str| file::read(&path, entry, None, false).unwrap();
    let oanda = read("Forex-oanda-[*]");
    assert!(!oanda.in_session(at("2014-05-06T21:00:00")), "the break of 16:58 to 17:03");
    assert!(oanda.in_session(at("2014-05-06T21:03:00")));
    assert_eq!(oanda.day_start, NaiveTime::from_hms_opt(17, 0, 0).unwrap());
    let fxcm = read("Forex-fxcm-[*]");
    let start = fxcm.day(date("2014-05-05")).start;
    assert_eq!(start, at("2014-05-04T21:00:00"));
    assert!(!fxcm.in_session(at("2007-12-25T15:00:00")), "a holiday");
    let crypto = read("Crypto-binance-[*]");
    assert_eq!(crypto.day_start, NaiveTime::MIN);
    assert!(crypto.in_session(at("2024-12-25T15:00:00")));
    assert_eq!(read("Equity-usa-[*]").day_start, NaiveTime::from_hms_opt(9, 30, 0).unwrap());
}

#[test]
fn the_built_in_equities_days_are_the_published_ones() {
    let Some(path) = data("calendar/market-hours.json") else { return };
    let published = file::read(&path, "Equity-usa-[*]", None, false).unwrap();
    let built_in = calendar(json!("equities"));
    // The file has holidays from 1998 on, but its early closes begin in 1999.
    let mut day = date("1999-01-01");
    let mut different = Vec::new();
    while day.year() < 2026 {
        if published.hours.on(day) != built_in.hours.on(day) {
            different.push(format!("{day}: {:?}", published.hours.on(day)));
        }
        day = day.succ_opt().unwrap();
    }
    assert_eq!(different, [] as [String; 0]);
}
