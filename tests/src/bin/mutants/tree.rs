//! A copy of the sources, in which files are patched and restored.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::mutant::Mutant;

/// Where the copy lies below the project, so that what was built of it is found again.
const PLACE: &str = "target/mutants/tree";
/// Programs that no test starts: they would be linked anew for every mutant.
const LEFT_OUT: [&str; 3] =
    ["tests/src/bin/bench/", "tests/src/bin/model/", "tests/src/bin/mutants/"];

/// The copy.
pub(crate) struct Tree(PathBuf);

/// Files that are patched, and what stood in them, if anything. They are restored when this is dropped.
#[derive(Default)]
pub(crate) struct Patched(Vec<(PathBuf, Option<String>)>);

impl Tree {
    /// Copies what git knows. Files that did not change keep their time, so that they are not built again.
    pub(crate) fn copy(root: &Path) -> Self {
        let place = root.join(PLACE);
        let listed = Command::new("git").arg("ls-files").current_dir(root).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let wanted: Vec<&str> = listed
            .lines()
            .filter(|file| !LEFT_OUT.iter().any(|left| file.starts_with(left)))
            .filter(|file| root.join(file).is_file())
            .collect();
        assert!(!wanted.is_empty(), "git knows no files of {}", root.display());
        for file in files(&place) {
            let known = file.strip_prefix(&place).unwrap();
            if !wanted.iter().any(|wanted| Path::new(wanted) == known) {
                fs::remove_file(&file).unwrap();
            }
        }
        for file in wanted {
            let (content, copy) = (fs::read(root.join(file)).unwrap(), place.join(file));
            if fs::read(&copy).ok().as_ref() != Some(&content) {
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::write(copy, content).unwrap();
            }
        }
        Self(place)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    /// Makes the mutant, until the answer is dropped.
    pub(crate) fn patch(&self, mutant: &Mutant) -> Patched {
        let mut patched = Patched::default();
        for edit in mutant.edits {
            patched.write(self, edit.file, &self.read(edit.file).replacen(edit.from, edit.to, 1));
        }
        patched
    }
}

impl Patched {
    pub(crate) fn write(&mut self, tree: &Tree, file: &str, text: &str) {
        let path = tree.0.join(file);
        self.0.push((path.clone(), fs::read_to_string(&path).ok()));
        fs::write(path, text).unwrap();
    }
}

impl Drop for Patched {
    fn drop(&mut self) {
        // The last one first: two edits may be of one file.
        for (path, text) in self.0.drain(..).rev() {
            match text {
                Some(text) => fs::write(path, text).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
