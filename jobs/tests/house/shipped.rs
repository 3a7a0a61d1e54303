//! Every job that ships is right, and draws.

use std::path::Path;

use dataflows::job::tests::TestPlan;
use dataflows::simulate::script;
use jobs::catalog::CATALOG;
use jobs::shipped::SHIPPED;

use crate::support::Desk;

#[test]
fn every_shipped_job_passes_its_checks_without_a_warning() {
    for job in SHIPPED {
        let plan = dataflows::job::lint::check(job.text, Path::new(job.file), &CATALOG, &|_| None);
        let plan = plan.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    }
}

#[test]
fn every_shipped_job_has_tests_and_they_pass_with_any_number_of_workers() {
    for job in SHIPPED {
        let plan = dataflows::job::lint::check(job.text, Path::new(job.file), &CATALOG, &|_| None);
        let plan = plan.unwrap();
        assert!(!plan.tests.is_empty(), "{} has no tests", job.name);
        for test in &plan.tests {
            for workers in 1..=4 {
                let test = TestPlan { workers, ..test.clone() };
                let outcome = script::run(&plan, &test, &CATALOG, Path::new(""));
                assert_eq!(outcome, Ok(()), "{}: {}, {workers} workers", job.name, test.name);
            }
        }
    }
}

/// A test that expects what the job does not do fails at its line, with what came instead.
#[test]
fn a_test_that_is_wrong_fails_at_its_line_and_shows_what_came() {
    let desk = Desk::new();
    let text = jobs::shipped::find("candles")
        .unwrap()
        .text
        .replace("close: 1.08942, ticks: 3", "close: 1.08943, ticks: 3");
    desk.write("job.yaml", &text);
    let output = desk.command(&["test", "job.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().position(|line| line.contains("- expect: candles.closed")).unwrap() + 1;
    assert!(said.contains(&format!("job.yaml:{line}:")), "{said}");
    assert!(said.contains("1.08943") && said.contains("1.08942"), "{said}");
    assert!(said.contains("3 passed, 1 failed"), "{said}");
}

#[test]
fn every_shipped_job_is_the_file_in_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for job in SHIPPED {
        assert_eq!(std::fs::read_to_string(root.join(job.file)).unwrap(), job.text);
    }
}

#[test]
fn shipped_jobs_and_components_stand_in_order() {
    let is_sorted = |names: Vec<&str>| assert!(names.is_sorted(), "{names:?}");
    is_sorted(SHIPPED.iter().map(|job| job.name).collect());
    is_sorted(CATALOG.sources.iter().map(|d| d.name()).collect());
    is_sorted(CATALOG.operators.iter().map(|d| d.name()).collect());
    is_sorted(CATALOG.sinks.iter().map(|d| d.name()).collect());
}
