use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use super::TARGETS;

/// What the fuzzers learnt holds of every build.
#[test]
fn no_target_breaks_on_its_corpus() {
    for (name, check) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let mut count = 0;
        for entry in fs::read_dir(&corpus).unwrap() {
            let path = entry.unwrap().path();
            let data = fs::read(&path).unwrap();
            let outcome = catch_unwind(|| check(&data));
            assert!(outcome.is_ok(), "{}", path.display());
            count += 1;
        }
        assert!(count > 0, "{name} has no corpus");
    }
}
