<?php
// A small notes app: PHP's own server, SQLite below /var, users from the bridge.
//
// There is no login here. Who is asking, and what they may do, is decided outside the sandbox and
// told in headers by the HTTP bridge, which nothing else can reach:
//   X-Sandstorm-Username     the name to show, percent-encoded
//   X-Sandstorm-Permissions  the names of the permissions they hold, joined by commas

declare(strict_types=1);

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/';
if (str_starts_with($path, '/static/')) {
    return false; // the server sends the file
}

$user = rawurldecode($_SERVER['HTTP_X_SANDSTORM_USERNAME'] ?? '') ?: 'somebody';
$permissions = array_filter(explode(',', $_SERVER['HTTP_X_SANDSTORM_PERMISSIONS'] ?? ''));
$edit = in_array('edit', $permissions, true);

function database(): PDO
{
    $file = getenv('NOTES_DATABASE') ?: '/var/lib/notes/notes.sqlite3'; // /var is the grain's own
    @mkdir(dirname($file), 0770, true);
    $database = new PDO("sqlite:$file", options: [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    $database->exec('pragma busy_timeout = 10000');
    $database->exec('pragma journal_mode = wal');
    $database->exec(
        'create table if not exists notes (id integer primary key, author text, text text)'
    );
    return $database;
}

function fail(int $status, string $message): never
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    exit("$message\n");
}

if ($path === '/notes' && $_SERVER['REQUEST_METHOD'] === 'POST') {
    if (!$edit) {
        fail(403, 'you may not edit');
    }
    if (isset($_POST['delete'])) {
        database()->prepare('delete from notes where id = ?')->execute([(int) $_POST['delete']]);
    } elseif (is_string($_POST['text'] ?? null) && $_POST['text'] !== '') {
        database()->prepare('insert into notes (author, text) values (?, ?)')
            ->execute([$user, substr($_POST['text'], 0, 65536)]);
    }
    http_response_code(303);
    header('Location: /');
    exit;
}
if ($path !== '/') {
    fail(404, 'no such page');
}
$notes = database()->query('select id, author, text from notes order by id')->fetchAll();
$escape = fn (?string $text): string => htmlspecialchars($text ?? '', ENT_QUOTES | ENT_SUBSTITUTE);
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Notes</title>
<link rel="stylesheet" href="/static/style.css">
<h1>Notes</h1>
<p>Hello, <b><?= $escape($user) ?></b>. You hold these permissions:
<?= $escape(implode(', ', $permissions) ?: 'none') ?>.</p>
<?php if ($edit): ?>
<form method="post" action="/notes">
<label>New note <input name="text" required maxlength="1000" autofocus></label>
<button>Add</button>
</form>
<?php endif ?>
<ul>
<?php foreach ($notes as $note): ?>
<li><?= $escape($note['text']) ?> <small><?= $escape($note['author']) ?></small>
<?php if ($edit): ?>
<form method="post" action="/notes"><button name="delete" value="<?= $note['id'] ?>">Delete</button></form>
<?php endif ?></li>
<?php endforeach ?>
</ul>
</html>
