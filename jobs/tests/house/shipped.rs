//! Every job that ships is right, and draws.

use std::path::Path;

use jobs::catalog::CATALOG;
use jobs::shipped::SHIPPED;

#[test]
fn every_shipped_job_passes_its_checks_without_a_warning() {
    for job in SHIPPED {
        let plan = dataflows::job::lint::check(job.text, Path::new(job.file), &CATALOG, &|_| None);
        let plan = plan.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    }
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
