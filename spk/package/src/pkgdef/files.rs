//! Reading schema files and embedded files: where they are looked for, and how much is read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::error::{Place, Problem, Result, Span};
use super::limits::{MAX_EMBED_BYTES, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES};

/// Where absolute imports are looked for after the directories the user names and the embedded
/// schemas (format, "import path").
pub const SYSTEM_IMPORT_PATH: [&str; 2] = ["/usr/local/include", "/usr/include"];

/// A place a file can be read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Origin {
    Disk(PathBuf),
    /// Absolute import path of an embedded schema.
    Embedded(String),
}

impl Origin {
    /// The same for every way to write a path, so that a file is read once.
    fn key(&self) -> Origin {
        match self {
            Origin::Disk(path) => Origin::Disk(
                std::path::absolute(path).map_or_else(|_| path.clone(), |path| normal(&path)),
            ),
            Origin::Embedded(name) => Origin::Embedded(name.clone()),
        }
    }
}

/// One schema file.
struct Source {
    origin: Origin,
    /// As messages name it.
    shown: String,
    text: Vec<u8>,
}

/// All files read so far.
pub struct Files {
    import_path: Vec<PathBuf>,
    sources: Vec<Source>,
    by_origin: HashMap<Origin, usize>,
    total: u64,
    embedded: u64,
    read: Vec<PathBuf>,
}

impl Files {
    /// Nothing read yet. `import_path` is searched in order for absolute paths.
    pub fn new(import_path: &[PathBuf]) -> Files {
        Files {
            import_path: import_path.to_vec(),
            sources: Vec::new(),
            by_origin: HashMap::new(),
            total: 0,
            embedded: 0,
            read: Vec::new(),
        }
    }

    /// Reads the first file.
    pub fn open(&mut self, path: &Path) -> io::Result<usize> {
        let text = read_regular(path, MAX_FILE_BYTES)?;
        self.read.push(path.to_owned());
        Ok(self.add(Origin::Disk(path.to_owned()), path.display().to_string(), text))
    }

    /// Puts in text that is in no file; its size is not looked at.
    pub fn add_text(&mut self, shown: &str, text: &[u8]) -> usize {
        self.add(Origin::Disk(PathBuf::from(shown)), shown.to_owned(), text.to_vec())
    }

    fn add(&mut self, origin: Origin, shown: String, text: Vec<u8>) -> usize {
        let number = self.sources.len();
        self.total += text.len() as u64;
        self.by_origin.insert(origin.key(), number);
        self.sources.push(Source { origin, shown, text });
        number
    }

    /// The text of a file.
    pub fn text(&self, file: usize) -> &[u8] {
        &self.sources[file].text
    }

    /// How messages name the file.
    pub fn shown(&self, file: usize) -> &str {
        &self.sources[file].shown
    }

    /// Files on disk that were read, embedded ones included.
    pub fn into_read(self) -> Vec<PathBuf> {
        self.read
    }

    /// The file that `import "path"` at `span` names, and whether it is new.
    pub fn import(&mut self, path: &str, span: Span) -> Result<(usize, bool)> {
        let mut looked = Vec::new();
        for origin in self.candidates(path, span.file) {
            if let Some(&number) = self.by_origin.get(&origin.key()) {
                return Ok((number, false));
            }
            let text = match &origin {
                Origin::Embedded(name) => match spk_schema::text::find(name) {
                    Some(text) => text.as_bytes().to_vec(),
                    None => continue,
                },
                Origin::Disk(file) => match read_regular(file, MAX_FILE_BYTES) {
                    Ok(text) => {
                        self.read.push(file.clone());
                        text
                    }
                    Err(error) if absent(&error) => {
                        looked.push(file.display().to_string());
                        continue;
                    }
                    Err(error) => {
                        return Err(Problem::new(
                            span,
                            format!("cannot import {}: {error}", file.display()),
                        ));
                    }
                },
            };
            if self.sources.len() >= MAX_FILES {
                return Err(Problem::new(
                    span,
                    format!("more than {MAX_FILES} files are imported"),
                ));
            }
            if self.total + text.len() as u64 > MAX_TOTAL_BYTES {
                return Err(Problem::new(
                    span,
                    format!("the imported files have more than {MAX_TOTAL_BYTES} bytes together"),
                ));
            }
            let shown = match &origin {
                Origin::Disk(file) => file.display().to_string(),
                Origin::Embedded(name) => name.clone(),
            };
            return Ok((self.add(origin, shown, text), true));
        }
        Err(self.missing("imported", path, &looked, span))
    }

    /// The bytes of the file that `embed "path"` at `span` names.
    pub fn embed(&mut self, path: &str, span: Span) -> Result<Vec<u8>> {
        let mut looked = Vec::new();
        for origin in self.candidates(path, span.file) {
            let bytes = match &origin {
                Origin::Embedded(name) => match spk_schema::text::find(name) {
                    Some(text) => text.as_bytes().to_vec(),
                    None => continue,
                },
                Origin::Disk(file) => match read_regular(file, MAX_EMBED_BYTES - self.embedded) {
                    Ok(bytes) => {
                        self.read.push(file.clone());
                        bytes
                    }
                    Err(error) if absent(&error) => {
                        looked.push(file.display().to_string());
                        continue;
                    }
                    Err(error) => {
                        let problem =
                            Problem::new(span, format!("cannot embed {}: {error}", file.display()));
                        return Err(match error.kind() {
                            io::ErrorKind::FileTooLarge => problem.hint(format!(
                                "embedded files may have {} MiB together",
                                MAX_EMBED_BYTES >> 20
                            )),
                            _ => problem,
                        });
                    }
                },
            };
            self.embedded += bytes.len() as u64;
            return Ok(bytes);
        }
        Err(self.missing("embedded", path, &looked, span))
    }

    fn missing(&self, what: &str, path: &str, looked: &[String], span: Span) -> Problem {
        let problem = Problem::new(span, format!("the {what} file {path} does not exist"));
        if path.starts_with('/') {
            let names = spk_schema::text::FILES.iter().map(|(name, _)| *name);
            match crate::suggest::hint(path, names) {
                Some(hint) => problem.hint(hint),
                None => problem.hint(format!(
                    "a path that starts with / is looked for below the -I directories, {} and {}",
                    SYSTEM_IMPORT_PATH[0], SYSTEM_IMPORT_PATH[1]
                )),
            }
        } else if let Some(place) = looked.first() {
            problem.hint(format!("looked for {place}: such paths start at this file's directory"))
        } else {
            problem
        }
    }

    /// Where `path`, written in `file`, may be: absolute ones on the import path, others beside
    /// the file, lexically (`..` is taken off as text).
    fn candidates(&self, path: &str, file: usize) -> Vec<Origin> {
        if let Some(rest) = path.strip_prefix('/') {
            let rest = normal(Path::new(rest));
            let name = format!("/{}", rest.display());
            let mut candidates: Vec<Origin> =
                self.import_path.iter().map(|dir| Origin::Disk(dir.join(&rest))).collect();
            candidates.push(Origin::Embedded(name));
            candidates.extend(
                SYSTEM_IMPORT_PATH.iter().map(|dir| Origin::Disk(Path::new(dir).join(&rest))),
            );
            return candidates;
        }
        match &self.sources[file].origin {
            Origin::Disk(own) => {
                let dir = own.parent().unwrap_or(Path::new(""));
                vec![Origin::Disk(normal(&dir.join(path)))]
            }
            Origin::Embedded(own) => {
                let dir = Path::new(own).parent().unwrap_or(Path::new("/"));
                let name = normal(&dir.join(path));
                vec![Origin::Embedded(name.display().to_string())]
            }
        }
    }

    /// Line, column and text of a span.
    pub fn place(&self, span: Span) -> Place {
        let text = self.text(span.file);
        let start = span.start.min(text.len());
        let before = &text[..start];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line_end = text[start..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(text.len(), |at| start + at);
        let characters = |from: usize, to: usize| {
            String::from_utf8_lossy(&text[from..to.max(from)]).chars().count()
        };
        let line = String::from_utf8_lossy(&text[line_start..line_end]);
        Place {
            file: self.shown(span.file).to_owned(),
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: characters(line_start, start) + 1,
            text: line.trim_start_matches('\u{feff}').trim_end_matches('\r').to_owned(),
            width: characters(start, span.end.min(line_end)).max(1),
        }
    }
}

/// Not there: what makes the search go on.
fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// `path` without `.` and with each `..` taken off together with the component before it.
fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(result.components().next_back(), Some(Component::Normal(_))) =>
            {
                result.pop();
            }
            Component::ParentDir if result.has_root() => {}
            other => result.push(other),
        }
    }
    result
}

/// The contents of a regular file of at most `most` bytes. Anything else is refused before it is
/// opened: a named pipe would wait for ever, a device never end.
fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let too_large = |bytes: u64| {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has {bytes} bytes, and at most {most} are accepted here"),
        )
    };
    if metadata.len() > most {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_as_text() {
        for (path, expected) in [
            ("a/../b", "b"),
            ("./a//b/.", "a/b"),
            ("../a", "../a"),
            ("../../a/../b", "../../b"),
            ("/a/../../b", "/b"),
            ("a/b/../../../c", "../c"),
        ] {
            assert_eq!(normal(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn places_count_characters_and_keep_tabs() {
        let mut files = Files::new(&[]);
        let file = files.add_text("f", "\u{feff}äb\n\té x\r\n".as_bytes());
        let at = files.text(file).iter().position(|&b| b == b'x').unwrap();
        let place = files.place(Span { file, start: at, end: at + 1 });
        assert_eq!((place.line, place.column, place.text.as_str()), (2, 4, "\té x"));
    }
}
