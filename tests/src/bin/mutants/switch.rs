//! Makes one tree of many mutants, of which the environment chooses one when the tests run.
//!
//! A function that a mutant changes gets the changed body beside its own, behind a look at the
//! environment. Thus the tests are built once and not once a mutant, and the source has no switches.

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use crate::{
    mutant::{Edit, Mutant},
    outline::Outline,
    tree::{Patched, Tree},
};

/// Tells the tests which mutant they meet.
pub(crate) const CHOICE: &str = "CACHED_REPO_MUTANT";

const SCRIPTS: &str = "cached-repo/src/redis/scripts.rs";
const SCRIPTS_FOLDER: &str = "cached-repo/src/redis/";

/// A body of a function as one mutant has it.
struct Variant {
    mutant: &'static str,
    body: String,
}

/// Where a body begins and ends, by bytes.
type Place = (usize, usize);

/// The functions of one file that are to be switched.
type Functions = BTreeMap<Place, Vec<Variant>>;

/// What the tree of all mutants consists of, before anything is written.
#[derive(Default)]
pub(crate) struct Switches {
    files: BTreeMap<String, Functions>,
    /// Scripts as mutants have them, by their paths.
    scripts: Vec<(String, String)>,
}

impl Switches {
    /// Adds a mutant; says why not if it cannot be one of several in a tree.
    pub(crate) fn add(&mut self, root: &Path, mutant: &Mutant) -> Result<(), String> {
        let (mut sources, mut scripts) = (Sources::default(), Sources::default());
        for Edit { file, from, to } in mutant.edits {
            match file.ends_with(".lua") {
                true => scripts.edit(root, file, from, to),
                false => sources.edit(root, file, from, to),
            }
        }
        let mut renamed = Vec::new();
        for (file, edited) in scripts.0 {
            let path = file.strip_prefix(SCRIPTS_FOLDER).ok_or("a script elsewhere")?;
            let own = path.replace(".lua", &format!(".{}.lua", mutant.name));
            sources.edit(root, SCRIPTS, &format!("\"{path}\""), &format!("\"{own}\""));
            renamed.push((format!("{SCRIPTS_FOLDER}{own}"), edited.applied()));
        }
        let mut found = Vec::new();
        for (file, edited) in sources.0 {
            found.push((file, edited.variants(mutant.name)?));
        }
        // Nothing is added of a mutant that cannot be added whole.
        for (file, variants) in found {
            let known = self.files.entry(file).or_default();
            for (place, variant) in variants {
                known.entry(place).or_default().push(variant);
            }
        }
        self.scripts.extend(renamed);
        Ok(())
    }

    /// Writes all of it into the copy, until the answer is dropped.
    pub(crate) fn write(&self, tree: &Tree) -> Patched {
        let mut patched = Patched::default();
        for (path, text) in &self.scripts {
            patched.write(tree, path, text);
        }
        for (path, functions) in &self.files {
            let mut text = tree.read(path);
            for ((begin, end), variants) in functions.iter().rev() {
                text.replace_range(*begin..*end, &switched(variants, &text[*begin..*end]));
            }
            patched.write(tree, path, &text);
        }
        let library = tree.read("cached-repo/src/lib.rs");
        patched.write(tree, "cached-repo/src/lib.rs", &format!("{library}\nmod mutants;\n"));
        patched.write(tree, "cached-repo/src/mutants.rs", &CHOSEN.replace("CHOICE", CHOICE));
        patched
    }
}

/// The name of the mutant that was chosen.
const CHOSEN: &str = r#"
pub(crate) fn chosen() -> &'static str {
    static NAME: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("CHOICE").unwrap_or_default());
    &NAME
}
"#;

fn switched(variants: &[Variant], body: &str) -> String {
    let arms: Vec<String> = variants
        .iter()
        .map(|Variant { mutant, body }| format!("\"{mutant}\" => {body}\n"))
        .collect();
    format!("{{ match crate::mutants::chosen() {{\n{}_ => {body} }} }}", arms.concat())
}

/// The files that one mutant changes.
#[derive(Default)]
struct Sources(BTreeMap<String, Edited>);

impl Sources {
    fn edit(&mut self, root: &Path, file: &str, from: &str, to: &str) {
        let edited = self.0.entry(file.to_owned()).or_insert_with(|| Edited {
            text: fs::read_to_string(root.join(file)).unwrap_or_default(),
            edits: Vec::new(),
        });
        edited.edits.push((from.to_owned(), to.to_owned()));
    }
}

/// One file, and what one mutant changes in it.
struct Edited {
    text: String,
    edits: Vec<(String, String)>,
}

impl Edited {
    fn applied(&self) -> String {
        let replace = |text: String, (from, to): &(String, String)| text.replacen(from, to, 1);
        self.edits.iter().fold(self.text.clone(), replace)
    }

    /// The functions as the mutant has them. A changed constant is one of their own to those that use it.
    fn variants(&self, mutant: &'static str) -> Result<Vec<(Place, Variant)>, String> {
        let outline = Outline::of(&self.text)?;
        let mut bodies: BTreeMap<Place, String> = BTreeMap::new();
        let body_at = |place: &Range<usize>| self.text[place.clone()].to_owned();
        for (from, to) in &self.edits {
            let at = self.text.find(from.as_str()).ok_or("an edit of nothing")?;
            let place = at..at + from.len();
            if let Some(around) = outline.function_around(&place) {
                let body = bodies.entry(key(&around)).or_insert_with(|| body_at(&around));
                *body = body.replacen(from, to, 1);
            } else if let Some((name, item)) = outline.constant_around(&place) {
                let constant = self.text[item].replacen(from, to, 1);
                for user in outline.users(name)? {
                    let body = bodies.entry(key(&user)).or_insert_with(|| body_at(&user));
                    *body = body.replacen('{', &format!("{{ {constant}\n"), 1);
                }
            } else {
                return Err(format!("{mutant} changes no function"));
            }
        }
        Ok(bodies.into_iter().map(|(place, body)| (place, Variant { mutant, body })).collect())
    }
}

fn key(place: &Range<usize>) -> Place {
    (place.start, place.end)
}
