<?php // A redirect to what was made, and a page in PHP's own session.
session_save_path('/var');
session_start();
require '/inc/layout.php';
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $id = uniqid();
    $_SESSION[$id] = $_POST['text'];
    header("Location: /item?id=$id", true, 303);
} elseif ($path === '/item') {
    $text = $_SESSION[$_GET['id'] ?? ''] ?? null;
    if ($text === null) http_response_code(404);
    echo layout($text ?? 'no such item');
} else {
    echo layout('items');
}
