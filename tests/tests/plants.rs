//! The planted defects of `tests/plants` fit the code as it is. Whether the tests catch them: `cargo run -p tests --bin plants`.

use tests::{Plant, repository};

#[test]
fn every_planted_defect_can_still_be_planted() {
    let plants = Plant::all();
    assert!(plants.len() >= 20, "only {} plants", plants.len());
    let unfit: Vec<_> = plants
        .iter()
        .filter_map(|plant| Some(format!("{}: {}", plant.name, plant.planted(repository()).err()?)))
        .collect();
    assert!(unfit.is_empty(), "{unfit:#?}");
}
