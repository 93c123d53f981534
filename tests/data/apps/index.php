<?php
// A counter in PHP: an included file, a page template, data below /var.
require __DIR__ . "/../inc/counter.php";

switch (parse_url($_SERVER["REQUEST_URI"], PHP_URL_PATH)) {
    case "/":
        include __DIR__ . "/../inc/page.php";
        break;
    case "/count":
        header("Content-Type: application/json");
        echo json_encode(["count" => count_once()]);
        break;
    default:
        http_response_code(404);
        echo "no such page";
}
