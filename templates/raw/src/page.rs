//! The one page.

use crate::notes::Notes;
use crate::text::escape;

/// As `user` sees it.
pub fn page(user: &str, edit: bool, notes: &Notes) -> String {
    let mut items = String::new();
    for (id, note) in notes.all() {
        let button = match edit {
            true => format!(
                "<form method=post action=/notes><button name=delete value={id}>Delete</button></form>"
            ),
            false => String::new(),
        };
        let (text, author) = (escape(&note.text), escape(&note.author));
        items.push_str(&format!("<li>{text} <small>{author}</small> {button}</li>"));
    }
    let form = "<form method=post action=/notes>\
        <label>New note <input name=text required maxlength=1000 autofocus></label>\
        <button>Add</button></form>";
    format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width\">\n<title>Notes</title>\n\
         <link rel=stylesheet href=/static/style.css>\n<h1>Notes</h1>\n\
         <p>Hello, <b>{}</b>. You hold these permissions: {}.</p>\n{}\n<ul>{items}</ul>\n</html>\n",
        escape(user),
        if edit { "edit" } else { "none" },
        if edit { form } else { "" },
    )
}
