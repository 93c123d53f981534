//! What is looked up in a TOML file of a project.

use toml_edit::{Document, Item, TableLike};

use super::project::{Place, Project};

/// A file, or nothing where it is none.
pub(super) struct Toml(Option<Document<String>>);

impl Toml {
    /// Reads it; what is no TOML is told of, once.
    pub(super) fn read(project: &Project, file: &str) -> Toml {
        let text = project.text(file);
        match Document::parse(text.clone()) {
            Ok(document) => Toml(Some(document)),
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                let line = text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
                let what = error.message().lines().next().unwrap_or_default();
                let place = Place { file: file.to_owned(), line };
                project.unclear(&place, format_args!("{what}; not understood"));
                Toml(None)
            }
        }
    }

    fn item(&self, path: &[&str]) -> Option<&Item> {
        let (last, above) = path.split_last()?;
        let mut table: &dyn TableLike = self.0.as_ref()?.as_table();
        for name in above {
            table = table.get(name)?.as_table_like()?;
        }
        table.get(last)
    }

    /// A text.
    pub(super) fn text(&self, path: &[&str]) -> Option<String> {
        self.item(path)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The texts of an array.
    pub(super) fn texts(&self, path: &[&str]) -> Vec<String> {
        let array = self.item(path).and_then(Item::as_array);
        let values = array.into_iter().flatten();
        values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// The names in a table.
    pub(super) fn keys(&self, path: &[&str]) -> Vec<String> {
        let table = self.item(path).and_then(Item::as_table_like);
        table.into_iter().flat_map(TableLike::iter).map(|(name, _)| name.to_owned()).collect()
    }
}
